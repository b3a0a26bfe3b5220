#include "sluice/models/cost.h"

#include <algorithm>

namespace sluice::models {

Cost cost_of(const std::vector<TensorSpec>& table, const MoeShape& moe, const AttentionWidths& attention, std::int64_t seq) {
  Cost cost;
  const bool tied = std::ranges::none_of(table, [](const TensorSpec& spec) { return spec.parameter.name == "head.weight"; });
  double products = 0;  // multiply-adds a token
  for (const TensorSpec& spec : table) {
    std::int64_t count = 1;
    for (const std::int64_t size : spec.parameter.shape) count *= size;
    const std::int64_t active = holds_experts(spec.shard) ? count / moe.num_experts * moe.top_k : count;
    cost.parameters += count;
    cost.active_parameters += active;
    const bool lookup = (spec.parameter.name == "embedding.weight" && !tied) || spec.parameter.name == "position_embedding.weight";
    if (spec.parameter.shape.size() >= 2 && !lookup) products += static_cast<double>(active);
  }
  cost.forward_flops_per_token = 2 * products + static_cast<double>(attention.query + attention.value) * static_cast<double>(seq);
  cost.kv_bytes_per_token = 2 * attention.cached;
  return cost;
}

}  // namespace sluice::models
