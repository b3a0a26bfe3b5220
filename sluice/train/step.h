// One optimizer step: micro-batches forward and backward, then clip and update.
#pragma once
#include <vector>

#include "sluice/data/batch.h"
#include "sluice/dist/group.h"
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
  double mtp_loss_scaling_factor = 0;  // weight of multi-token prediction, where the model has it
  // DeepSeek-V3's balance without a loss (arXiv:2412.19437, section 2.1.2): after each step a correction bias moves by `rate` towards
  // experts that got less than the mean.
  double expert_bias_update_rate = 0;
  std::vector<std::string> expert_biases;  // one a mixture, a predictor's last; an empty name stays as it is
};

// What a step found before its update.
struct StepResult {
  monitor::Losses losses;
  double grad_norm = 0;
  std::int64_t tokens = 0, target_tokens = 0;
  at::Tensor expert_counts;  // [layers, experts], float32: served assignments of real tokens; undefined for a dense model
  double chosen = 0;         // assignments of real tokens in all layers before any is dropped
  bool finite() const;
};

class Step {
 public:
  // All references outlive this. `target` is null without routing supervision, `dropout` without adapters. The ranks of `replicas` hold the same
  // weights and step together.
  Step(const StepConfig& config, const models::Model& model, nn::ParameterStore& store, optim::AdamW& optimizer, const dist::Group& replicas, const RoutingTarget* target,
       nn::Dropout* dropout = nullptr)
      : config_(config), model_(model), store_(store), optimizer_(optimizer), replicas_(replicas), target_(target), dropout_(dropout) {}

  // Gradients of the global batch that the replicas' `micro_batches` make up; the weights do not change.
  StepResult gradients(const std::vector<data::Batch>& micro_batches);

  // The update by the gradients of the last call.
  void update(double lr, double grad_norm);

  const StepConfig& config() const { return config_; }

 private:
  // Replaces what was counted here by the sum over the replicas.
  void add_up(loss::Denominators& denominators) const;
  void add_up(StepResult& result);
  loss::GlobalFrequencies count_choices(const std::vector<loss::BatchTensors>& batches, double real_tokens) const;
  // Of one micro-step on all replicas.
  loss::GlobalFrequencies pooled(const std::vector<nn::RouterRecord>& routers, const loss::BatchTensors& batch) const;
  nn::ForwardContext context(const loss::BatchTensors& batch) const;
  std::uint64_t pass_number(std::size_t micro_batch, std::size_t count) const;  // of all micro-batches since the start
  // What multi-token prediction is trained with; null where the model has none or its weight is 0.
  const models::MultiTokenPredictor* predictor() const;
  // Its weighted loss, of a global batch with `mtp_tokens` targets; adds its router to `routers`.
  at::Tensor predict_further(const models::MultiTokenPredictor& predictor, const parallel::Pass& pass, const loss::BatchTensors& batch, double mtp_tokens,
                             std::vector<nn::RouterRecord>& routers) const;

  StepConfig config_;
  const models::Model& model_;
  nn::ParameterStore& store_;
  optim::AdamW& optimizer_;
  const dist::Group& replicas_;
  const RoutingTarget* target_;
  nn::Dropout* dropout_;
  at::Tensor chosen_counts_;  // [mixtures, experts], float32, of the last gradients(); for the expert biases
};

}  // namespace sluice::train
