// "Did you mean": the nearest known name to a misspelt one.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

// Characters to insert, delete or replace, or neighbours to swap, to make `b` of `a` (optimal string alignment).
std::size_t edit_distance(std::string_view a, std::string_view b);

// The candidate with the smallest edit distance to `name` (the first of equals); empty when there are no candidates.
std::string nearest(std::string_view name, const std::vector<std::string>& candidates);

// "did you mean QnameQ? " with `quote` for Q, for a remedy to go on from; empty where no candidate is near enough to be a slip: one
// character wrong, or a third of the name's. A candidate that `name` begins, or that begins it, is near from three characters on.
std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates, std::string_view quote = "");

// "a, b or c", for remedies that list what is allowed.
std::string join_or(const std::vector<std::string>& words);

}  // namespace sluice
