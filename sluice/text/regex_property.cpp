#include "sluice/text/regex_property.h"

#include <algorithm>
#include <array>
#include <bitset>
#include <cctype>
#include <cstdint>
#include <cstdio>
#include <iterator>
#include <utility>

#include "sluice/text/unicode_tables.h"
#include "sluice/text/utf8.h"

namespace sluice::text {
namespace {

// The long names of general categories, and the short ones that the tables have.
// clang-format off
constexpr std::array<std::pair<std::string_view, const char*>, 38> kCategories = {{
    {"letter", "L"}, {"casedletter", "LC"}, {"uppercaseletter", "Lu"}, {"lowercaseletter", "Ll"}, {"titlecaseletter", "Lt"},
    {"modifierletter", "Lm"}, {"otherletter", "Lo"}, {"mark", "M"}, {"combiningmark", "M"}, {"nonspacingmark", "Mn"},
    {"spacingmark", "Mc"}, {"enclosingmark", "Me"}, {"number", "N"}, {"decimalnumber", "Nd"}, {"letternumber", "Nl"},
    {"othernumber", "No"}, {"punctuation", "P"}, {"connectorpunctuation", "Pc"}, {"dashpunctuation", "Pd"}, {"openpunctuation", "Ps"},
    {"closepunctuation", "Pe"}, {"initialpunctuation", "Pi"}, {"finalpunctuation", "Pf"}, {"otherpunctuation", "Po"}, {"symbol", "S"},
    {"mathsymbol", "Sm"}, {"currencysymbol", "Sc"}, {"modifiersymbol", "Sk"}, {"othersymbol", "So"}, {"separator", "Z"},
    {"spaceseparator", "Zs"}, {"lineseparator", "Zl"}, {"paragraphseparator", "Zp"}, {"other", "C"}, {"control", "Cc"}, {"format", "Cf"},
    {"privateuse", "Co"}, {"unassigned", "Cn"},
}};
// clang-format on
constexpr std::array kBinary = {"any",       "ascii", "whitespace", "alphabetic",        "lowercase",
                                "uppercase", "cased", "emoji",      "emojipresentation", "ideographic"};

// Case, spaces, hyphens and underscores do not count in a property's name.
std::string loose(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c != ' ' && c != '-' && c != '_') out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return out;
}

// The members of a class for the newer characters that have `property`; "!" before it: that have lost it.
std::string newer_members(const std::string& property) {
  std::string out;
  const auto add = [&](std::uint32_t first, std::uint32_t last) {
    std::array<char, 40> range;
    std::snprintf(range.data(), range.size(), first == last ? "\\x{%x}" : "\\x{%x}-\\x{%x}", first, last);
    out += range.data();
  };
  const std::string word = " " + property + " ";
  std::uint32_t first = 1, last = 0;  // the range that the next row may prolong; none yet
  for (const NewerRange& row : newer_ranges()) {
    if (std::string_view(row.properties).find(word) == std::string_view::npos) continue;
    if (first <= last && row.first != last + 1) add(first, last);
    if (first > last || row.first != last + 1) first = row.first;
    last = row.last;
  }
  if (first <= last) add(first, last);
  return out;
}

}  // namespace

CharacterSet property_set(std::string_view name, Polarity polarity, UnicodeVersion version) {
  std::string known = loose(name);
  const auto category = std::find_if(kCategories.begin(), kCategories.end(), [&](const auto& row) { return row.first == known; });
  if (category != kCategories.end()) known = loose(category->second);
  const bool is_script = known.size() > 2 && std::find(kBinary.begin(), kBinary.end(), known) == kBinary.end();
  const std::string base = (is_script ? "{sc:" : "{") + known + "}";
  const std::string escape = (polarity == Polarity::kHas ? "\\p" : "\\P") + base;
  if (version == UnicodeVersion::kPcre2) return {escape, ""};
  const std::string gained = newer_members(known), lost = newer_members("!" + known);
  return polarity == Polarity::kHas ? CharacterSet{escape + gained, lost} : CharacterSet{escape + lost, gained};
}

bool has_newer_characters(std::string_view text) {
  constexpr char32_t kBlock = 64;
  static const auto blocks = [] {  // those that hold any
    std::bitset<0x110000 / kBlock> set;
    for (const NewerRange& row : newer_ranges()) {
      for (char32_t block = row.first / kBlock; block <= row.last / kBlock; ++block) set.set(block);
    }
    return set;
  }();
  const auto rows = newer_ranges();
  for (std::size_t at = 0; at < text.size();) {
    if (static_cast<unsigned char>(text[at]) < 0x80) {
      ++at;
      continue;
    }
    const auto [code, length] = utf8_at(text, at);
    at += length;
    if (!blocks[code / kBlock]) continue;
    const auto after = std::upper_bound(rows.begin(), rows.end(), code, [](char32_t c, const NewerRange& row) { return c < row.first; });
    if (after != rows.begin() && code <= std::prev(after)->last) return true;
  }
  return false;
}

}  // namespace sluice::text
