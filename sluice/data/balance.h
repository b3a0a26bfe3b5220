// `sluice data balance`: a sample of a labelled JSONL file with a chosen number of rows of each category.
#pragma once
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/file.h"
#include "sluice/data/categories.h"

namespace sluice::data {

// Rows of each category, by its number.
using CategoryCounts = std::vector<std::int64_t>;
inline constexpr std::int64_t kAllRows = std::numeric_limits<std::int64_t>::max();

// "factual_lookup=2000,numerical_reasoning=all": kAllRows for "all", 0 for categories that are not named. Error for an unknown category,
// one named twice, or a number that is none.
CategoryCounts parse_category_counts(std::string_view text, const Categories& categories = {});

struct BalanceRequest {
  fs::path input, output;
  CategoryCounts wanted;  // as long as `categories`
  std::uint64_t seed = 42;
  Categories categories = {};
};

struct BalanceSummary {
  CategoryCounts available, written;
};

// Writes a random sample of the rows of `input`, without replacement, as many of each category as wanted or as there are, in random order;
// rows are copied byte for byte. The same input, counts and seed give the same file. Holds 16 bytes a chosen row in memory. Error
// (file:line), with `output` untouched, for a row that is not a JSON object, has no label, or an unknown one; and when no row is chosen.
BalanceSummary balance(const BalanceRequest& request);

}  // namespace sluice::data
