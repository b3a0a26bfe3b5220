// What Python's str methods say of characters.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace sluice::text::jinja {

// str.isspace: Unicode's white space and the four separators U+001C to U+001F.
bool is_space(char32_t code);

// Bytes of white space at the front, and where that at the back begins. Of valid UTF-8.
std::size_t leading_space(std::string_view text);
std::size_t trailing_space(std::string_view text);

// str.isprintable of one character: what repr() shows as it is.
bool is_printable(char32_t code);

bool is_letter(char32_t code);
bool is_digit(char32_t code);  // of any script

// str.lower: a sigma at the end of a word is a final one.
std::string lower(std::string_view text);

// str.upper, str.capitalize and str.title, and the words that Jinja's title filter makes, which a white space, '-', '(', '{', '[' or '<'
// begins. A character with several upper-case characters (the German sharp s) is a Fault but for that one, which becomes SS.
std::string upper(std::string_view text);
std::string capitalized(std::string_view text);
std::string title(std::string_view text);
std::string title_words(std::string_view text);

}  // namespace sluice::text::jinja
