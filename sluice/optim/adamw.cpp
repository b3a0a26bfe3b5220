#include "sluice/optim/adamw.h"

#include <cmath>

#include "sluice/kernels/cpu/adamw.h"
#include "sluice/kernels/cpu/sum_of_squares.h"

namespace sluice::optim {

ScheduleShape schedule_of(const OptimizerConfig& config, std::int64_t total_steps) {
  const auto by_fraction = static_cast<std::int64_t>(config.warmup_fraction * static_cast<double>(total_steps));
  return {config.schedule, config.lr, config.min_lr.value_or(0), config.warmup_iters.value_or(by_fraction), total_steps, config.decay_fraction};
}

AdamW::AdamW(const OptimizerConfig& config, nn::ParameterStore& store)
    : config_(config), store_(store), mean_(nn::untouched_zeros(store.flat_grad().numel())), square_(nn::untouched_zeros(store.flat_grad().numel())) {}

double AdamW::grad_norm() const {
  return std::sqrt(kernels::cpu::sum_of_squares(store_.flat_grad().data_ptr<float>(), store_.flat_grad().numel()));
}

void AdamW::step(double lr, double norm) {
  if (steps_done_ == 0) {  // the update reads before it writes, which costs untouched pages two faults each instead of one
    for (const auto& segment : store_.segments()) {
      for (const at::Tensor& moment : {mean_, square_}) moment.narrow(0, segment.offset, segment.master.numel()).zero_();
    }
  }
  ++steps_done_;
  kernels::cpu::AdamwSettings settings;
  settings.lr = lr;
  settings.beta1 = config_.beta1;
  settings.beta2 = config_.beta2;
  settings.eps = config_.eps;
  settings.bias_correction1 = 1 - std::pow(config_.beta1, static_cast<double>(steps_done_));
  settings.bias_correction2 = 1 - std::pow(config_.beta2, static_cast<double>(steps_done_));
  // As torch.nn.utils.clip_grad_norm_: the same 1e-6 against a norm of zero.
  if (config_.clip_grad > 0) settings.grad_scale = std::min(1.0, config_.clip_grad / (norm + 1e-6));
  for (const auto& segment : store_.segments()) {
    settings.weight_decay = segment.decay == nn::Decay::kYes || config_.decay_norm_and_bias ? config_.weight_decay : 0;
    auto* compute = segment.compute.defined() ? reinterpret_cast<kernels::cpu::Bf16*>(segment.compute.data_ptr<at::BFloat16>()) : nullptr;
    kernels::cpu::adamw_step(settings, segment.master.numel(), segment.master.data_ptr<float>(), mean_.data_ptr<float>() + segment.offset,
                             square_.data_ptr<float>() + segment.offset, segment.grad.data_ptr<float>(), compute);
  }
}

}  // namespace sluice::optim
