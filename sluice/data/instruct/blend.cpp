#include "sluice/data/instruct/blend.h"

#include <cmath>
#include <cstdlib>
#include <numeric>

namespace sluice::data {
namespace {

constexpr int kShareBits = 32;

// floor(count * share / 2^32), without rounding: count < 2^62, share <= 2^32.
std::int64_t part_of(std::int64_t count, std::uint64_t share) {
  const auto whole = static_cast<std::uint64_t>(count);
  const std::uint64_t high = whole >> kShareBits, low = whole & 0xffffffff;
  return static_cast<std::int64_t>(high * share + (low * share >> kShareBits));
}

}  // namespace

std::vector<WeightedFile> parse_blend(const std::vector<std::string>& blend, Violations& violations) {
  const char* const remedy = "write a weight before each file: data.blend=[0.7, a.jsonl, 0.3, b.jsonl]";
  std::vector<WeightedFile> files;
  if (blend.size() % 2 != 0) {
    violations.add("data.blend has " + std::to_string(blend.size()) + " entries, which are no pairs of a weight and a file", remedy);
    return files;
  }
  for (std::size_t i = 0; i < blend.size(); i += 2) {
    char* end = nullptr;
    const double weight = std::strtod(blend[i].c_str(), &end);
    if (blend[i].empty() || *end != '\0' || !std::isfinite(weight) || weight <= 0) {
      violations.add("data.blend: '" + blend[i] + "', before " + blend[i + 1] + ", is no weight above 0", remedy);
      continue;
    }
    files.push_back({weight, blend[i + 1]});
  }
  return files;
}

Interleaving::Interleaving(const std::vector<double>& weights) {
  SLUICE_CHECK(!weights.empty(), "a blend needs a set");
  double left = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (const double weight : weights) {
    const double share = std::min(1.0, weight / left);
    shares_.push_back(static_cast<std::uint64_t>(std::llround(std::ldexp(share, kShareBits))));
    left -= weight;
  }
  shares_.back() = std::uint64_t{1} << kShareBits;
}

Interleaving::Pick Interleaving::at(std::int64_t position) const {
  SLUICE_CHECK(position >= 0, "sample number " + std::to_string(position));
  for (std::size_t set = 0;; ++set) {
    const std::int64_t before = part_of(position, shares_[set]);
    if (part_of(position + 1, shares_[set]) > before) return {set, before};
    position -= before;  // its place among the samples of the other sets
  }
}

}  // namespace sluice::data
