#include "sluice/data/instruct/packing.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <tuple>

#include "sluice/base/error.h"

namespace sluice::data {

std::vector<std::vector<std::int64_t>> pack_best_fit(std::span<const std::int64_t> lengths, std::int64_t row_tokens) {
  const auto length = [&](std::int64_t document) { return lengths[static_cast<std::size_t>(document)]; };
  std::vector<std::int64_t> order(lengths.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, std::greater{}, length);
  std::vector<std::vector<std::int64_t>> rows;
  std::set<std::pair<std::int64_t, std::size_t>> open;  // room and row, of rows that have any
  for (const std::int64_t document : order) {
    SLUICE_CHECK(length(document) <= row_tokens,
                 "a document of " + std::to_string(length(document)) + " tokens in rows of " + std::to_string(row_tokens));
    std::int64_t room = row_tokens;
    std::size_t row = rows.size();
    if (const auto fit = open.lower_bound({length(document), 0}); fit != open.end()) {
      std::tie(room, row) = *fit;
      open.erase(fit);
    } else {
      rows.emplace_back();
    }
    rows[row].push_back(document);
    if (room > length(document)) open.emplace(room - length(document), row);
  }
  return rows;
}

}  // namespace sluice::data
