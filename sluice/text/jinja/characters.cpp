#include "sluice/text/jinja/characters.h"

#include <algorithm>
#include <unordered_map>

#include "sluice/text/jinja/budget.h"
#include "sluice/text/regex.h"
#include "sluice/text/unicode.h"
#include "sluice/text/unicode_tables.h"
#include "sluice/text/utf8.h"

namespace sluice::text::jinja {
namespace {

bool matches(const Regex& pattern, char32_t code) {
  std::string character;
  append_utf8(character, code);
  bool found = false;
  pattern.for_each_match(character, [&](Regex::Match) { found = true; });
  return found;
}

// The other way round of the table of lower cases: of several characters with one lower case, the one in the same block as most are,
// which is the first in the table.
std::unordered_map<char32_t, char32_t> make_uppers() {
  std::unordered_map<char32_t, char32_t> uppers;
  for (const LowerRange& range : lower_ranges()) {
    for (std::uint32_t code = range.first; code <= range.last; code += range.step)
      uppers.emplace(static_cast<char32_t>(static_cast<std::int64_t>(code) + range.delta), code);
  }
  return uppers;
}

// Of the characters with a special upper case all, and some of their neighbours.
bool has_several_uppers(char32_t code) {
  const bool greek = code >= 0x1F50 && code <= 0x1FFC, ligature = code >= 0xFB00 && code <= 0xFB17;
  return greek || ligature || (code >= 0x1E96 && code <= 0x1E9A) || code == 0x149 || code == 0x1F0 || code == 0x390 || code == 0x3B0 ||
         code == 0x587;
}

void append_upper(std::string& out, char32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code >= 'a' && code <= 'z' ? code - 32 : code);
    return;
  }
  if (code == 0xDF) {
    out += "SS";
    return;
  }
  const bool is_title_case = code == 0x1C5 || code == 0x1C8 || code == 0x1CB || code == 0x1F2;  // the digraphs, next to their upper case
  static const std::unordered_map<char32_t, char32_t> uppers = make_uppers();
  if (has_several_uppers(code)) throw Fault("takes the upper case of a character that has several: not supported");
  const auto found = uppers.find(code);
  append_utf8(out, is_title_case ? code - 1 : found == uppers.end() ? code : found->second);
}

// Characters that `is_upper` picks in upper case, the others in lower case. A sigma at the end of a word is a final one.
template <class IsUpper>
std::string cased(std::string_view text, const IsUpper& is_upper) {
  constexpr char32_t kSigma = 0x3A3;
  std::string out;
  char32_t before = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto [code, length] = utf8_at(text, at);
    const std::size_t next = at + length;
    const auto ends_word = [&] { return next == text.size() || !is_letter(utf8_at(text, next).code); };
    if (is_upper(before, at))
      append_upper(out, code);
    else if (code == kSigma && is_letter(before) && ends_word())
      out += "\u03c2";
    else
      out += to_lower(text.substr(at, length));
    before = code;
    at = next;
  }
  return out;
}

}  // namespace

bool is_space(char32_t code) { return is_white_space(code) || (code >= 0x1C && code <= 0x1F); }

std::size_t leading_space(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size() && is_space(utf8_at(text, at).code)) at += utf8_at(text, at).length;
  return at;
}

std::size_t trailing_space(std::string_view text) {
  std::size_t at = text.size();
  while (at > 0) {
    std::size_t before = at - 1;
    while (before > 0 && (static_cast<unsigned char>(text[before]) & 0xC0) == 0x80) --before;
    if (!is_space(utf8_at(text, before).code)) break;
    at = before;
  }
  return at;
}

bool is_printable(char32_t code) {
  if (code < 0x7F) return code >= 0x20;
  static const Regex hidden("[\\p{C}\\p{Z}]", "printable");
  return !matches(hidden, code);
}

bool is_letter(char32_t code) {
  if (code < 0x80) return (code | 0x20) >= 'a' && (code | 0x20) <= 'z';
  static const Regex letter("\\p{L}", "letter");
  return matches(letter, code);
}

bool is_digit(char32_t code) {
  if (code < 0x80) return code >= '0' && code <= '9';
  static const Regex digit("\\p{Nd}", "digit");
  return matches(digit, code);
}

std::string lower(std::string_view text) {
  return cased(text, [](char32_t, std::size_t) { return false; });
}

std::string upper(std::string_view text) {
  return cased(text, [](char32_t, std::size_t) { return true; });
}

std::string capitalized(std::string_view text) {
  return cased(text, [](char32_t, std::size_t at) { return at == 0; });
}

std::string title(std::string_view text) {
  return cased(text, [](char32_t before, std::size_t) { return !is_letter(before); });
}

std::string title_words(std::string_view text) {
  constexpr std::u32string_view kOpening = U"-({[<";
  return cased(text, [&](char32_t before, std::size_t at) {
    return at == 0 || is_space(before) || kOpening.find(before) != std::u32string_view::npos;
  });
}

}  // namespace sluice::text::jinja
