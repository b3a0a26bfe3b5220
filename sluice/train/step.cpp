#include "sluice/train/step.h"

#include <cmath>

namespace sluice::train {
namespace {

double value(const at::Tensor& term) { return term.defined() ? term.item<double>() : 0; }

}  // namespace

bool StepResult::finite() const { return std::isfinite(losses.loss) && std::isfinite(grad_norm); }

nn::ForwardContext Step::context(const loss::BatchTensors& batch) const {
  return {batch.shape, nn::local_seams(), nn::Mode::kTraining, config_.expert_capacity_factor};
}

StepResult Step::gradients(const std::vector<data::Batch>& micro_batches) {
  std::vector<loss::BatchTensors> batches;
  loss::Denominators denominators;
  for (const data::Batch& batch : micro_batches) {
    batches.push_back(loss::to_tensors(batch, config_.objective.supervision.tokens));
    denominators.add(batches.back());
  }
  loss::GlobalFrequencies frequencies;
  const bool pooled = config_.objective.aux_loss != loss::AuxLoss::kPerSequence;  // a sequence is never cut: nothing to count beforehand
  if (pooled && config_.objective.aux_scope == loss::AuxScope::kGlobalBatch && config_.objective.aux_coef != 0) {
    frequencies = count_choices(batches, denominators.real_tokens);
    if (frequencies.frequency.defined()) denominators.frequencies = &frequencies;
  }

  store_.zero_grad();
  StepResult result;
  for (const loss::BatchTensors& batch : batches) {
    const parallel::Pass pass = parallel::forward(model_, batch.ids, context(batch), config_.recompute);
    const at::Tensor log_preferences = target_ ? target_->log_preferences() : at::Tensor();
    const loss::Terms terms = loss::objective(config_.objective, pass.hidden, pass.routers, model_.head(), batch, log_preferences, denominators);
    const at::Tensor total = terms.total();
    total.backward();
    result.losses.lm_loss += value(terms.lm);
    result.losses.aux_loss += value(terms.aux);
    result.losses.z_loss += value(terms.z);
    result.losses.routing_supervision_loss += value(terms.routing);
    result.losses.loss += value(total);
    if (pass.routers.empty()) continue;
    const at::Tensor counts = loss::served_counts(pass.routers, batch.real);
    result.expert_counts = result.expert_counts.defined() ? result.expert_counts + counts : counts;
  }
  result.tokens = static_cast<std::int64_t>(denominators.real_tokens);
  result.target_tokens = static_cast<std::int64_t>(denominators.target_tokens);
  result.grad_norm = optimizer_.grad_norm();
  return result;
}

loss::GlobalFrequencies Step::count_choices(const std::vector<loss::BatchTensors>& batches, double real_tokens) const {
  const at::NoGradGuard no_grad;
  loss::GlobalFrequencies frequencies{{}, real_tokens};
  for (const loss::BatchTensors& batch : batches) {
    const parallel::Pass pass = parallel::forward(model_, batch.ids, context(batch), parallel::Recompute::kNone);
    if (pass.routers.empty()) break;
    const at::Tensor counts = loss::chosen_counts(pass.routers, batch.real) / real_tokens;
    frequencies.frequency = frequencies.frequency.defined() ? frequencies.frequency + counts : counts;
  }
  return frequencies;
}

}  // namespace sluice::train
