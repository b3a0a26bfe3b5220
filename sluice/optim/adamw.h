// AdamW (Loshchilov and Hutter, arXiv:1711.05101) over the flat buffers of a ParameterStore, with gradient clipping.
#pragma once
#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <optional>
#include <functional>
#include <string>
#include <string_view>

#include "sluice/kernels/cpu/adamw.h"
#include "sluice/nn/parameter.h"
#include "sluice/optim/schedule.h"

namespace sluice::optim {

enum class Name { kAdamw };
constexpr std::array<std::string_view, 1> names(Name) { return {"adamw"}; }

// What the two moments of a parameter are stored in; they are computed in float32.
enum class Moments { kFloat32, kBfloat16 };
constexpr std::array<std::string_view, 2> names(Moments) { return {"fp32", "bf16"}; }

struct OptimizerConfig {
  Name name = Name::kAdamw;
  double lr = 1e-4;
  std::optional<double> min_lr;
  Schedule schedule = Schedule::kCosine;
  std::optional<std::int64_t> warmup_iters;
  double warmup_fraction = 0.1;
  double decay_fraction = 0.1;
  double weight_decay = 0.01, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, clip_grad = 1.0;
  bool decay_norm_and_bias = false;
  Moments moments = Moments::kFloat32;

  void fields(auto&& field) {
    field("name", name, "The optimizer.");
    field("lr", lr, "Peak learning rate, reached after warm-up.");
    field("min_lr", min_lr, "Where the schedule falls to; 0 when null.");
    field("schedule", schedule, "Shape after warm-up: cosine, linear, constant, or wsd (stable, then a linear decay).");
    field("warmup_iters", warmup_iters, "Steps of linear warm-up; null = warmup_fraction of all steps.");
    field("warmup_fraction", warmup_fraction, "Share of all steps that warm up, where warmup_iters is null.");
    field("decay_fraction", decay_fraction, "Share of all steps that decay under wsd.");
    field("weight_decay", weight_decay, "Decoupled weight decay.");
    field("beta1", beta1, "Decay of the mean of gradients.");
    field("beta2", beta2, "Decay of the mean of squared gradients.");
    field("eps", eps, "Added to the root of the mean square.");
    field("clip_grad", clip_grad, "Largest global gradient norm; a larger gradient is scaled down to it. 0 = no clipping.");
    field("decay_norm_and_bias", decay_norm_and_bias, "Whether norms and biases are decayed too; HF's Trainer and Megatron do not.");
    field("moments", moments, "What AdamW's moments are stored in: fp32, or bf16 for half the memory, rounded at random (the mean of many roundings is the number).");
  }
};

// The schedule that `config` means for a run of `total_steps`.
ScheduleShape schedule_of(const OptimizerConfig& config, std::int64_t total_steps);

// Where the moments lie.
struct MomentMemory {
  nn::MakeZeros make = nn::untouched_zeros;
  // Where set, the update goes over the flat buffers piece by piece, and says which elements it is done with.
  std::function<void(std::int64_t begin, std::int64_t end)> done = {};
};

class AdamW {
 public:
  AdamW(const OptimizerConfig& config, nn::ParameterStore& store, MomentMemory memory = {});

  // The global gradient norm, over all trainable parameters, in float64.
  double grad_norm() const;

  // One update with the gradients as they are, clipped by `norm` (what grad_norm() gave). Masters and computing copies change.
  void step(double lr, double norm);

  // Moments, as long as the store's flat buffers: for checkpoints.
  const at::Tensor& mean() const { return mean_; }
  const at::Tensor& square() const { return square_; }
  std::int64_t steps_done() const { return steps_done_; }
  void set_steps_done(std::int64_t steps) { steps_done_ = steps; }

 private:
  // Elements [begin, end) of a segment.
  void update(const kernels::cpu::AdamwSettings& settings, const nn::ParameterStore::Segment& segment, std::int64_t begin, std::int64_t end);

  OptimizerConfig config_;
  nn::ParameterStore& store_;
  MomentMemory memory_;
  at::Tensor mean_, square_;  // as long as the store's flat buffers
  std::int64_t steps_done_ = 0;
};

}  // namespace sluice::optim
