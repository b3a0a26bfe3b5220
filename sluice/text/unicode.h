// Unicode normal forms, lower case and white space, for the normalizers.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace sluice::text {

// Canonical composition and decomposition (Unicode Standard Annex 15) of valid UTF-8.
std::string to_nfc(std::string_view text);
std::string to_nfd(std::string_view text);

// The same with compatibility decompositions: a ligature becomes its letters, a full-width letter a plain one.
std::string to_nfkc(std::string_view text);
std::string to_nfkd(std::string_view text);

// Each character's own lower case, without regard to its neighbours (a final sigma stays a plain one), as HF's Lowercase does.
std::string to_lower(std::string_view text);

// The property White_Space.
bool is_white_space(char32_t code);

// Classes of characters as HF's components know them; what each holds stands in unicode_tables.h.
bool is_mark(char32_t code);
bool is_nonspacing_mark(char32_t code);
bool is_control(char32_t code);
bool is_punctuation(char32_t code);
bool is_numeric(char32_t code);

// `text` without the characters for which `is_removed` holds.
std::string without(std::string_view text, bool (*is_removed)(char32_t));

// Where the white space at the front ends, and where that at the back starts.
std::size_t end_of_leading_space(std::string_view text);
std::size_t start_of_trailing_space(std::string_view text);

}  // namespace sluice::text
