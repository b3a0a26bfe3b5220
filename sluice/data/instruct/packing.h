// Which documents share a row.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace sluice::data {

// Rows of at most `row_tokens` tokens, each a list of indices into `lengths`: every document once, none split. Best-fit decreasing: the
// documents from the longest to the shortest (of equal ones the first first), each into the row with the least room that still holds it (of
// equal ones the first), else into a new one. O(n log n). No length is above `row_tokens`.
std::vector<std::vector<std::int64_t>> pack_best_fit(std::span<const std::int64_t> lengths, std::int64_t row_tokens);

}  // namespace sluice::data
