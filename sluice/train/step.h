// One optimizer step: micro-batches forward and backward, then clip and update.
#pragma once
#include <vector>

#include "sluice/optim/adamw.h"
#include "sluice/parallel/zero.h"
#include "sluice/train/passes.h"

namespace sluice::train {

class Step {
 public:
  // All references, and those of `parts`, outlive this.
  Step(const StepConfig& config, const StepParts& parts, nn::ParameterStore& store, optim::AdamW& optimizer, parallel::SharedParameters& shared)
      : config_(config), parts_(parts), store_(store), optimizer_(optimizer), shared_(shared) {}

  // Gradients of the global batch that the `micro_batches` of all ranks make up; the weights do not change.
  StepResult gradients(const std::vector<data::Batch>& micro_batches);

  // The update by the gradients of the last call.
  void update(double lr, double grad_norm);

  const StepConfig& config() const { return config_; }

 private:
  MicroBatch part_of(const data::Batch& batch, std::int64_t micro_batch) const;
  // What nn::Dropout calls the tokens of a micro-batch: this rank's, those that its routers see, and those of the whole rows.
  std::vector<at::Tensor> tokens_of(const nn::SequenceShape& whole, const nn::SequenceShape& own, std::int64_t micro_batch) const;
  bool predicts_further() const { return config_.mtp_loss_scaling_factor != 0 && parts_.model.multi_token_predictor(); }
  // Replaces what was counted here by the sum over all ranks, each token counted once.
  void add_up(loss::Denominators& denominators) const;
  void add_up(StepResult& result);
  void add_up(at::Tensor& counts) const;

  StepConfig config_;
  StepParts parts_;
  nn::ParameterStore& store_;
  optim::AdamW& optimizer_;
  parallel::SharedParameters& shared_;
  at::Tensor chosen_counts_;  // [mixtures, experts], float32, of the last gradients(); for the expert biases
};

}  // namespace sluice::train
