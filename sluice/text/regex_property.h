// The properties of characters (\p{...}) in PCRE2's syntax, by its own Unicode or by HF's newer one.
#pragma once
#include <string>
#include <string_view>

namespace sluice::text {

// A set of characters: what stands in the brackets of a class, less what stands in those of another (empty: less nothing).
struct CharacterSet {
  std::string members, excluded;
};

enum class Polarity { kHas, kLacks };

// PCRE2's own tables (Unicode 14 in 10.42); or those of HF's engine, Oniguruma 6.9.10 (Unicode 16), by naming the characters that differ.
// The first is the faster by far, and enough for a text without such characters.
enum class UnicodeVersion { kPcre2, kHf };

// The characters that have the property `name` ("L", "Lowercase_Letter", "Alphabetic", "Han"), or those that lack it. A script is the
// script itself, not its extensions. Names that PCRE2 does not know are its error when the pattern is compiled.
CharacterSet property_set(std::string_view name, Polarity polarity, UnicodeVersion version);

// Whether valid UTF-8 `text` has a character whose properties differ between the two.
bool has_newer_characters(std::string_view text);

}  // namespace sluice::text
