#include "sluice/train/step_figures.h"

#include <ATen/ATen.h>

namespace sluice::train {

monitor::StepMetrics figures_of(const TakenStep& taken, const Recipe& recipe, double seconds) {
  const StepResult& result = taken.result;
  monitor::StepMetrics out;
  out.step = taken.number;
  out.train = result.losses;
  out.learning_rate = taken.learning_rate;
  out.grad_norm = result.grad_norm;
  out.tokens = result.tokens;
  out.target_tokens = result.target_tokens;
  out.seconds = seconds;
  out.tokens_per_second = static_cast<double>(result.tokens) / seconds;
  if (result.expert_counts.defined() && recipe.moe.expert_capacity_factor > 0) {
    out.dropped_share = 1 - result.expert_counts.sum(at::kDouble).item<double>() / result.chosen;
  }
  return out;
}

std::optional<monitor::ExpertShares> expert_load(const TakenStep& taken) {
  const at::Tensor& counts = taken.result.expert_counts;
  if (!counts.defined()) return std::nullopt;
  monitor::ExpertShares out;
  const at::Tensor share = (counts / counts.sum(1, true).clamp_min(1)).to(at::kDouble).contiguous();
  for (std::int64_t layer = 0; layer < share.size(0); ++layer) {
    const auto* row = share.data_ptr<double>() + layer * share.size(1);
    out.emplace_back(row, row + share.size(1));
  }
  return out;
}

}  // namespace sluice::train
