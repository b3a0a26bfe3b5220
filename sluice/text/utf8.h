// UTF-8: stepping through valid text, finding and mending invalid text.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace sluice::text {

struct Utf8Char {
  char32_t code;
  std::size_t length;  // bytes, 1 to 4
};

// The character that begins at byte `at` of valid UTF-8; `at` < text.size().
Utf8Char utf8_at(std::string_view text, std::size_t at);

void append_utf8(std::string& out, char32_t code);

// The first byte that is not part of a well-formed character (Unicode 15, table 3-7); npos when all is well.
std::size_t find_invalid_utf8(std::string_view bytes);

// `bytes` with U+FFFD for each maximal invalid part, as Rust's from_utf8_lossy and the WHATWG decoder do.
std::string to_valid_utf8(std::string_view bytes);

// Error naming `what` and the byte when `bytes` is not valid UTF-8.
void require_utf8(std::string_view bytes, std::string_view what);

}  // namespace sluice::text
