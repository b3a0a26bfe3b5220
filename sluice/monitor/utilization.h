// When is a layer's load out of balance, and what to do about it: one rule for the display, the monitor and the report.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "sluice/monitor/metrics.h"

namespace sluice::monitor {

// An expert is collapsing under 0.4 of an even share and overloaded over 2 even shares: 5 % and 25 % for 8 experts. A model of one or
// two experts has no upper limit (two even shares are all there is).
struct ShareLimits {
  explicit ShareLimits(std::size_t num_experts);
  double low, high;
};

enum class Load { kCollapsing, kEven, kOverloaded };
Load load_of(double share, const ShareLimits& limits);

struct LoadWarning {
  std::size_t layer = 0, expert = 0;
  double share = 0;
  Load load = Load::kEven;
};

// Every expert out of its limits, by layer, then expert.
std::vector<LoadWarning> load_warnings(const ExpertShares& shares);

// "layer 3, expert 5 receives 2.1 % of tokens, under 5.0 %: the router is collapsing"
std::string describe(const LoadWarning& warning, const ShareLimits& limits);

// What to change, for warnings of one kind.
std::string remedy(Load load);

// exp(entropy) of a layer's shares: how many evenly used experts would be as spread out.
double effective_experts(const std::vector<double>& shares);

}  // namespace sluice::monitor
