// "Did you mean": the nearest known name to a misspelt one.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

// Levenshtein distance in characters.
std::size_t edit_distance(std::string_view a, std::string_view b);

// The candidate with the smallest edit distance to `name` (the first of equals); empty when there are no candidates.
std::string nearest(std::string_view name, const std::vector<std::string>& candidates);

// "a, b or c", for remedies that list what is allowed.
std::string join_or(const std::vector<std::string>& words);

}  // namespace sluice
