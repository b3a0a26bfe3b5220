// What Python's str methods do, shared by the filters and methods of text.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/text/jinja/budget.h"

namespace sluice::text::jinja {

enum class Sides { kLeft, kRight, kBoth };
enum class LineEnds { kKeep, kDrop };

// Without the characters of `set` at its sides; without a set, without white space.
std::string strip(std::string_view text, const std::optional<std::string>& set, Sides sides);

// At most `count` times, from the left; -1: everywhere.
std::string replaced(std::string_view text, std::string_view from, std::string_view to, std::int64_t count, Budget& budget);

// At white space where there is no separator. At most `count` cuts, -1: all; kRight cuts from the right.
std::vector<std::string> split(std::string_view text, const std::optional<std::string>& separator, std::int64_t count, Sides from);
std::vector<std::string> split_lines(std::string_view text, LineEnds ends);

// Filled up with `pad`, one character, to `width` characters, the text at the left (kLeft), at the right or in the middle.
std::string justified(std::string_view text, std::int64_t width, std::string_view pad, Sides text_at, Budget& budget);

// Whether `character` is one of \w.
bool is_word(std::string_view character);

}  // namespace sluice::text::jinja
