#include "sluice/base/nearest.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <utility>

namespace sluice {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  // Of the first i characters of `a`, i - 1 and i - 2, to the first j of `b`.
  std::vector<std::size_t> row(b.size() + 1), above(b.size() + 1), second_above;
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    second_above = std::exchange(above, row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] != b[j - 1] ? 1 : 0)});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], second_above[j - 2] + 1);
    }
  }
  return row[b.size()];
}

std::string nearest(std::string_view name, const std::vector<std::string>& candidates) {
  const auto closer = [&](const std::string& a, const std::string& b) { return edit_distance(name, a) < edit_distance(name, b); };
  const auto best = std::min_element(candidates.begin(), candidates.end(), closer);
  return best == candidates.end() ? std::string() : *best;
}

std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates, std::string_view quote) {
  const auto letters = static_cast<std::size_t>(std::ranges::count_if(name, [](char c) { return c != '-'; }));
  std::vector<std::string> likely;
  std::ranges::copy_if(candidates, std::back_inserter(likely), [&](const std::string& candidate) {
    const bool begins = letters >= 3 && !candidate.empty() && (candidate.starts_with(name) || name.starts_with(candidate));
    return begins || edit_distance(name, candidate) <= std::max<std::size_t>(1, letters / 3);
  });
  const std::string near = nearest(name, likely);
  if (near.empty()) return "";
  return "did you mean " + std::string(quote) + near + std::string(quote) + "? ";
}

std::string join_or(const std::vector<std::string>& words) {
  std::string out;
  for (std::size_t i = 0; i < words.size(); ++i) out += (i == 0 ? "" : i + 1 == words.size() ? " or " : ", ") + words[i];
  return out;
}

}  // namespace sluice
