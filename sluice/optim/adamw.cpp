#include "sluice/optim/adamw.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "sluice/kernels/cpu/sum_of_squares.h"

namespace sluice::optim {
namespace {

constexpr std::int64_t kPiece = 1 << 20;  // elements

// 64 bits for each element of each rounding (splitmix64's last step; Steele et al., OOPSLA 2014).
std::uint64_t random_bits(std::uint64_t rounding, std::uint64_t element) {
  std::uint64_t x = (rounding << 40) + element + 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

// float32 -> bf16, up or down with the probability that makes the mean right: to the nearest, 0.999 v would be v again, and a mean of squares could
// never fall. `place`: of the first element among all that this rounding meets.
void round_at_random(const at::Tensor& from, const at::Tensor& to, std::uint64_t rounding, std::uint64_t place) {
  const auto* in = from.data_ptr<float>();
  auto* out = reinterpret_cast<std::uint16_t*>(to.data_ptr<at::BFloat16>());
  at::parallel_for(0, from.numel(), 1 << 14, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const auto bits = std::bit_cast<std::uint32_t>(in[i]) + static_cast<std::uint32_t>(random_bits(rounding, place + static_cast<std::uint64_t>(i)) & 0xffff);
      out[i] = static_cast<std::uint16_t>(bits >> 16);
    }
  });
}

}  // namespace

ScheduleShape schedule_of(const OptimizerConfig& config, std::int64_t total_steps) {
  const auto by_fraction = static_cast<std::int64_t>(config.warmup_fraction * static_cast<double>(total_steps));
  return {config.schedule, config.lr, config.min_lr.value_or(0), config.warmup_iters.value_or(by_fraction), total_steps, config.decay_fraction};
}

AdamW::AdamW(const OptimizerConfig& config, nn::ParameterStore& store, MomentMemory memory) : config_(config), store_(store), memory_(std::move(memory)) {
  const at::ScalarType type = config.moments == Moments::kFloat32 ? at::kFloat : at::kBFloat16;
  mean_ = memory_.make(store.flat_grad().numel(), type);
  square_ = memory_.make(store.flat_grad().numel(), type);
}

double AdamW::grad_norm() const {
  return std::sqrt(kernels::cpu::sum_of_squares(store_.flat_grad().data_ptr<float>(), store_.flat_grad().numel()));
}

void AdamW::step(double lr, double norm) {
  const bool in_pieces = memory_.done || mean_.scalar_type() != at::kFloat;
  if (steps_done_ == 0 && !in_pieces) {  // the update reads before it writes, which costs untouched pages two faults each instead of one
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
    const std::int64_t size = segment.master.numel(), piece = in_pieces ? kPiece : size;
    for (std::int64_t begin = 0; begin < size; begin += piece) {
      const std::int64_t end = std::min(begin + piece, size);
      update(settings, segment, begin, end);
      if (memory_.done) memory_.done(segment.offset + begin, segment.offset + end);
    }
  }
}

void AdamW::update(const kernels::cpu::AdamwSettings& settings, const nn::ParameterStore::Segment& segment, std::int64_t begin, std::int64_t end) {
  const auto part = [&](const at::Tensor& moment) { return moment.narrow(0, segment.offset + begin, end - begin); };
  const at::Tensor mean = part(mean_).to(at::kFloat), square = part(square_).to(at::kFloat);  // float32 moments themselves, else copies
  auto* compute = segment.compute.defined() ? reinterpret_cast<kernels::cpu::Bf16*>(segment.compute.data_ptr<at::BFloat16>()) + begin : nullptr;
  kernels::cpu::adamw_step(settings, end - begin, segment.master.data_ptr<float>() + begin, mean.data_ptr<float>(), square.data_ptr<float>(),
                           segment.grad.data_ptr<float>() + begin, compute);
  if (mean_.scalar_type() == at::kFloat) return;
  const auto place = static_cast<std::uint64_t>(segment.offset + begin);
  round_at_random(mean, part(mean_), 2 * static_cast<std::uint64_t>(steps_done_), place);
  round_at_random(square, part(square_), 2 * static_cast<std::uint64_t>(steps_done_) + 1, place);
}

}  // namespace sluice::optim
