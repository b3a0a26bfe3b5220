// One optimizer step: micro-batches forward and backward, then clip and update.
#pragma once
#include <vector>

#include "sluice/data/batch.h"
#include "sluice/loss/objective.h"
#include "sluice/models/model.h"
#include "sluice/monitor/metrics.h"
#include "sluice/optim/adamw.h"
#include "sluice/parallel/apply.h"
#include "sluice/train/routing_target.h"

namespace sluice::train {

// How the forward pass runs; the rest of a step follows from the objective and the optimizer.
struct StepConfig {
  loss::ObjectiveConfig objective;
  parallel::Recompute recompute = parallel::Recompute::kNone;
  double expert_capacity_factor = 0;
};

// What a step found before its update.
struct StepResult {
  monitor::Losses losses;
  double grad_norm = 0;
  std::int64_t tokens = 0, target_tokens = 0;
  at::Tensor expert_counts;  // [layers, experts], float32: served assignments of real tokens; undefined for a dense model
  bool finite() const;
};

class Step {
 public:
  // All references outlive this. `target` is null without routing supervision.
  Step(const StepConfig& config, const models::Model& model, nn::ParameterStore& store, optim::AdamW& optimizer, const RoutingTarget* target)
      : config_(config), model_(model), store_(store), optimizer_(optimizer), target_(target) {}

  // Gradients of the global batch that `micro_batches` make up; the weights do not change.
  StepResult gradients(const std::vector<data::Batch>& micro_batches);

  // The update by the gradients of the last call.
  void update(double lr, double grad_norm) { optimizer_.step(lr, grad_norm); }

  const StepConfig& config() const { return config_; }

 private:
  loss::GlobalFrequencies count_choices(const std::vector<loss::BatchTensors>& batches, double real_tokens) const;
  nn::ForwardContext context(const loss::BatchTensors& batch) const;

  StepConfig config_;
  const models::Model& model_;
  nn::ParameterStore& store_;
  optim::AdamW& optimizer_;
  const RoutingTarget* target_;
};

}  // namespace sluice::train
