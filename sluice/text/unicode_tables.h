// What HF's `tokenizers` knows of Unicode (scripts/make_unicode_tables.py). Each table is sorted by its first column.
#pragma once
#include <cstdint>
#include <span>

namespace sluice::text {

// A canonical decomposition: one character, or two; `composes` where NFC puts the two together again.
struct Decomposition {
  std::uint32_t code, first, second;  // second is 0 for a single character
  bool composes;
};

// The characters from `first` to `last` have the canonical combining class `value`; characters in no range have class 0.
struct CombiningRange {
  std::uint32_t first, last;
  std::uint8_t value;
};

// Every `step`-th character from `first` to `last` has its lower case at distance `delta`.
struct LowerRange {
  std::uint32_t first, last, step;
  std::int32_t delta;
};

// A full compatibility decomposition, in UTF-8, of a character whose canonical one is another.
struct Compatibility {
  std::uint32_t code;
  const char* text;
};

// The characters from `first` to `last`.
struct CodeRange {
  std::uint32_t first, last;
};

// The characters from `first` to `last` have properties in HF's regular expressions, which know Unicode 16, that they lack in those of
// PCRE2 10.42, which know Unicode 14. Names are in small letters without underscores, each between spaces; "!" before one: the reverse.
struct NewerRange {
  std::uint32_t first, last;
  const char* properties;
};

// The characters from `first` to `last` are of one script, which has a number; Han, Hiragana and Katakana are one.
struct ScriptRange {
  std::uint32_t first, last;
  std::uint8_t script;
};

std::span<const Decomposition> decompositions();
std::span<const CombiningRange> combining_ranges();
std::span<const LowerRange> lower_ranges();
std::span<const Compatibility> compatibilities();
std::span<const NewerRange> newer_ranges();
std::span<const ScriptRange> script_ranges();         // of UnicodeScripts; characters in no range are of no script, as the space is
std::span<const CodeRange> mark_ranges();             // what StripAccents removes
std::span<const CodeRange> nonspacing_mark_ranges();  // what BertNormalizer removes as accents
std::span<const CodeRange> control_ranges();          // what it cleans away: control characters, formats, private use, U+FFFD
std::span<const CodeRange> punctuation_ranges();      // of the pre-tokenizers Punctuation and BertPreTokenizer
std::span<const CodeRange> numeric_ranges();          // of Digits

}  // namespace sluice::text
