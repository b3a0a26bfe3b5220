#include "sluice/monitor/utilization.h"

#include <cmath>
#include <limits>

#include "sluice/monitor/numbers.h"

namespace sluice::monitor {

ShareLimits::ShareLimits(std::size_t num_experts)
    : low(num_experts == 0 ? 0 : 0.4 / static_cast<double>(num_experts)),
      high(num_experts <= 2 ? std::numeric_limits<double>::infinity() : 2.0 / static_cast<double>(num_experts)) {}

Load load_of(double share, const ShareLimits& limits) {
  if (share < limits.low) return Load::kCollapsing;
  return share > limits.high ? Load::kOverloaded : Load::kEven;
}

std::vector<LoadWarning> load_warnings(const ExpertShares& shares) {
  std::vector<LoadWarning> out;
  for (std::size_t layer = 0; layer < shares.size(); ++layer) {
    const ShareLimits limits(shares[layer].size());
    for (std::size_t expert = 0; expert < shares[layer].size(); ++expert) {
      const double share = shares[layer][expert];
      if (const Load load = load_of(share, limits); load != Load::kEven) out.push_back({layer, expert, share, load});
    }
  }
  return out;
}

std::string describe(const LoadWarning& warning, const ShareLimits& limits) {
  const std::string head = "layer " + std::to_string(warning.layer) + ", expert " + std::to_string(warning.expert) + " receives " +
                           format_percent(warning.share) + " of tokens, ";
  if (warning.load == Load::kCollapsing) return head + "under " + format_percent(limits.low) + ": the router is collapsing";
  return head + "over " + format_percent(limits.high) + ": routing is imbalanced";
}

std::string remedy(Load load) {
  if (load == Load::kCollapsing) return "raise moe.router_aux_loss_coef (twice, say), or lower routing_supervision.weight (half, say)";
  return "raise moe.router_aux_loss_coef, lower routing_supervision.weight, or raise moe.expert_capacity_factor so that fewer tokens are "
         "dropped";
}

double effective_experts(const std::vector<double>& shares) {
  double entropy = 0;
  for (const double share : shares) {
    if (share > 0) entropy -= share * std::log(share);
  }
  return std::exp(entropy);
}

}  // namespace sluice::monitor
