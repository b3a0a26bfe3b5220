#include "sluice/text/unicode.h"

#include <algorithm>
#include <cstdint>
#include <unordered_map>

#include "sluice/text/unicode_tables.h"
#include "sluice/text/utf8.h"

namespace sluice::text {
namespace {

// Hangul syllables are composed by arithmetic (Unicode Standard, section 3.12).
constexpr char32_t kSyllables = 0xAC00, kLeads = 0x1100, kVowels = 0x1161, kTrails = 0x11A7;
constexpr char32_t kNumLeads = 19, kNumVowels = 21, kNumTrails = 28, kNumSyllables = kNumLeads * kNumVowels * kNumTrails;

// The first character with a combining class, and the first that can change under NFC.
constexpr char32_t kFirstCombining = 0x300;

int combining_class(char32_t code) {
  if (code < kFirstCombining) return 0;
  const auto ranges = combining_ranges();
  const auto after = std::upper_bound(ranges.begin(), ranges.end(), code, [](char32_t c, const CombiningRange& r) { return c < r.first; });
  if (after == ranges.begin() || code > std::prev(after)->last) return 0;
  return std::prev(after)->value;
}

enum class Form { kCanonical, kCompatibility };

// False, with `out` as it was, where the character has no compatibility decomposition.
bool append_compatibility(std::u32string& out, char32_t code) {
  const auto rows = compatibilities();
  const auto row = std::lower_bound(rows.begin(), rows.end(), code, [](const Compatibility& r, char32_t c) { return r.code < c; });
  if (row == rows.end() || row->code != code) return false;
  const std::string_view text = row->text;
  for (std::size_t at = 0; at < text.size(); at += utf8_at(text, at).length) out += utf8_at(text, at).code;
  return true;
}

void append_decomposed(std::u32string& out, char32_t code) {
  if (code - kSyllables < kNumSyllables && code >= kSyllables) {
    const char32_t index = code - kSyllables;
    out += kLeads + index / (kNumVowels * kNumTrails);
    out += kVowels + index / kNumTrails % kNumVowels;
    if (index % kNumTrails != 0) out += kTrails + index % kNumTrails;
    return;
  }
  const auto rows = decompositions();
  const auto row = std::lower_bound(rows.begin(), rows.end(), code, [](const Decomposition& r, char32_t c) { return r.code < c; });
  if (row == rows.end() || row->code != code) {
    out += code;
    return;
  }
  append_decomposed(out, row->first);
  if (row->second != 0) append_decomposed(out, row->second);
}

// Full decomposition in canonical order: runs of combining marks sorted by class, stably.
std::u32string decompose(std::string_view text, Form form) {
  std::u32string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char character = utf8_at(text, at);
    if (form == Form::kCanonical || !append_compatibility(out, character.code)) append_decomposed(out, character.code);
    at += character.length;
  }
  for (std::size_t begin = 0; begin < out.size();) {
    std::size_t end = begin;
    while (end < out.size() && combining_class(out[end]) != 0) ++end;
    if (end - begin > 1) {
      std::stable_sort(out.begin() + static_cast<std::ptrdiff_t>(begin), out.begin() + static_cast<std::ptrdiff_t>(end),
                       [](char32_t a, char32_t b) { return combining_class(a) < combining_class(b); });
    }
    begin = end + 1;
  }
  return out;
}

std::uint64_t pair_key(char32_t first, char32_t second) { return static_cast<std::uint64_t>(first) << 32 | second; }

std::unordered_map<std::uint64_t, char32_t> make_compositions() {
  std::unordered_map<std::uint64_t, char32_t> map;
  for (const Decomposition& row : decompositions()) {
    if (row.composes) map.emplace(pair_key(row.first, row.second), row.code);
  }
  return map;
}

// The character that `first` and `second` compose to, or 0.
char32_t composed(char32_t first, char32_t second) {
  if (first - kLeads < kNumLeads && first >= kLeads && second >= kVowels && second - kVowels < kNumVowels) {
    return kSyllables + ((first - kLeads) * kNumVowels + (second - kVowels)) * kNumTrails;
  }
  const bool is_open_syllable = first >= kSyllables && first - kSyllables < kNumSyllables && (first - kSyllables) % kNumTrails == 0;
  if (is_open_syllable && second > kTrails && second - kTrails < kNumTrails) return first + (second - kTrails);
  static const std::unordered_map<std::uint64_t, char32_t> compositions = make_compositions();
  const auto found = compositions.find(pair_key(first, second));
  return found == compositions.end() ? 0 : found->second;
}

// Each mark joins the last starter unless a character between them blocks it (Unicode Standard, D115 and D117).
void compose(std::u32string& text) {
  std::size_t kept = 0, starter = std::u32string::npos;
  int last_class = 0;  // of the last character kept after the starter; 0 right after it
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char32_t code = text[i];
    const int own_class = combining_class(code);
    const bool adjacent = starter != std::u32string::npos && kept == starter + 1;
    const bool reachable = adjacent || (starter != std::u32string::npos && last_class != 0 && last_class < own_class);
    if (const char32_t whole = reachable ? composed(text[starter], code) : 0; whole != 0) {
      text[starter] = whole;
      continue;
    }
    if (own_class == 0) starter = kept;
    last_class = own_class;
    text[kept++] = code;
  }
  text.resize(kept);
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char byte) { return static_cast<unsigned char>(byte) < 0x80; });
}

bool is_in(std::span<const CodeRange> ranges, char32_t code) {
  const auto after = std::upper_bound(ranges.begin(), ranges.end(), code, [](char32_t c, const CodeRange& r) { return c < r.first; });
  return after != ranges.begin() && code <= std::prev(after)->last;
}

std::string to_utf8(const std::u32string& text) {
  std::string out;
  out.reserve(text.size());
  for (const char32_t code : text) append_utf8(out, code);
  return out;
}

}  // namespace

std::string to_nfc(std::string_view text) {
  // Every character below U+0300 is its own NFC and never composes with the one before; their lead bytes are below 0xCC.
  if (std::all_of(text.begin(), text.end(), [](char byte) { return static_cast<unsigned char>(byte) < 0xCC; })) return std::string(text);
  std::u32string codes = decompose(text, Form::kCanonical);
  compose(codes);
  return to_utf8(codes);
}

std::string to_nfd(std::string_view text) { return to_utf8(decompose(text, Form::kCanonical)); }

std::string to_nfkc(std::string_view text) {
  if (is_ascii(text)) return std::string(text);
  std::u32string codes = decompose(text, Form::kCompatibility);
  compose(codes);
  return to_utf8(codes);
}

std::string to_nfkd(std::string_view text) {
  if (is_ascii(text)) return std::string(text);
  return to_utf8(decompose(text, Form::kCompatibility));
}

std::string to_lower(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  const auto ranges = lower_ranges();
  for (std::size_t at = 0; at < text.size();) {
    const auto [code, length] = utf8_at(text, at);
    at += length;
    if (code == 0x130) {  // the only character whose lower case is two: i and a dot above
      out += "i\u0307";
      continue;
    }
    auto row = std::upper_bound(ranges.begin(), ranges.end(), code, [](char32_t c, const LowerRange& r) { return c < r.first; });
    const bool inside = row != ranges.begin() && code <= (--row)->last && (code - row->first) % row->step == 0;
    append_utf8(out, inside ? static_cast<char32_t>(static_cast<std::int64_t>(code) + row->delta) : code);
  }
  return out;
}

bool is_white_space(char32_t code) {
  return (code >= 0x9 && code <= 0xD) || code == 0x20 || code == 0x85 || code == 0xA0 || code == 0x1680 ||
         (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

bool is_mark(char32_t code) { return is_in(mark_ranges(), code); }
bool is_nonspacing_mark(char32_t code) { return is_in(nonspacing_mark_ranges(), code); }
bool is_control(char32_t code) { return is_in(control_ranges(), code); }
bool is_punctuation(char32_t code) { return is_in(punctuation_ranges(), code); }
bool is_numeric(char32_t code) { return is_in(numeric_ranges(), code); }

std::string without(std::string_view text, bool (*is_removed)(char32_t)) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const auto [code, length] = utf8_at(text, at);
    if (!is_removed(code)) out.append(text, at, length);
    at += length;
  }
  return out;
}

std::size_t end_of_leading_space(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size() && is_white_space(utf8_at(text, at).code)) at += utf8_at(text, at).length;
  return at;
}

std::size_t start_of_trailing_space(std::string_view text) {
  std::size_t at = text.size();
  while (at > 0) {
    std::size_t before = at - 1;
    while (before > 0 && (static_cast<unsigned char>(text[before]) & 0xC0) == 0x80) --before;
    if (!is_white_space(utf8_at(text, before).code)) break;
    at = before;
  }
  return at;
}

}  // namespace sluice::text
