// The forward and backward passes of one optimizer step on this rank: all of the model, or its stages of a pipeline.
#pragma once
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "sluice/data/batch.h"
#include "sluice/dist/mesh.h"
#include "sluice/loss/objective.h"
#include "sluice/models/model.h"
#include "sluice/monitor/metrics.h"
#include "sluice/parallel/apply.h"
#include "sluice/parallel/lanes.h"
#include "sluice/parallel/pipeline.h"
#include "sluice/parallel/seams.h"
#include "sluice/train/routing_target.h"

namespace sluice::train {

// How the forward pass runs; the rest of a step follows from the objective and the optimizer.
struct StepConfig {
  loss::ObjectiveConfig objective;
  parallel::Activations activations;
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

// What a step works on. All references outlive it; the ranks of `mesh` step together.
struct StepParts {
  const models::Model& model;
  const dist::Mesh& mesh;
  const parallel::LayoutSeams& seams;
  const parallel::Stages& stages;
  std::int64_t hidden_size = 0;
  const RoutingTarget* target = nullptr;  // null without routing supervision
  nn::Dropout* dropout = nullptr;         // null without adapters
  parallel::SecondLane* beside = nullptr;  // null where one pass runs at a time
};

// This rank's part of a micro-batch.
struct MicroBatch {
  loss::BatchTensors tensors;
  at::Tensor next_ids, next_labels;  // [tokens], int64: what multi-token prediction sees and learns; undefined without it
  std::vector<at::Tensor> tokens;    // as nn::Dropout has them; empty where no adapter leaves inputs out
};

class Passes final : public parallel::StageWork {
 public:
  // Everything outlives this. `step` counts the updates before this one. `mtp_tokens`: those that multi-token prediction learns from, of the
  // global batch.
  Passes(const StepConfig& config, const StepParts& parts, const std::vector<MicroBatch>& batches, const loss::Denominators& denominators, double mtp_tokens,
         std::int64_t step);

  // Adds the gradients to the store; the result is this rank's alone.
  StepResult run();
  // Assignments before any is dropped that the update of expert biases goes by, of the last run(): [mixtures, experts], float32.
  const at::Tensor& chosen_counts() const { return chosen_counts_; }
  // A forward pass over all batches, without gradients: the share of assignments that each expert gets of all tokens of the global batch,
  // this rank's part of it. [mixtures, experts], float32; undefined for a dense model.
  at::Tensor count_choices();

  std::int64_t forward_size(std::int64_t micro_batch) const override;
  std::int64_t backward_size(std::int64_t micro_batch) const override { return forward_size(micro_batch); }
  at::Tensor forward(const parallel::Action& pass, const at::Tensor& received) override;
  at::Tensor backward(const parallel::Action& pass, const at::Tensor& received) override;

 private:
  // A micro-batch between its forward and its backward pass through a chunk.
  struct Flight {
    at::Tensor input, output;  // [tokens, hidden]; input is a leaf, undefined on the first virtual stage
    std::vector<nn::RouterRecord> routers;
    at::Tensor pooled;  // [experts]: assignments of this and earlier virtual stages, where pools_over_stages()
  };
  bool is_first(std::int64_t chunk) const { return parts_.mesh.place.pipeline == 0 && chunk == 0; }
  bool is_last(std::int64_t chunk) const { return parts_.mesh.place.pipeline == parts_.stages.ranks() - 1 && chunk == parts_.stages.chunks() - 1; }
  bool pools(const Flight& flight) const;  // whether the load balance loss needs frequencies of all ranks
  bool pools_over_stages() const;
  std::int64_t hidden_rows(std::int64_t micro_batch) const;  // of the residual stream on this rank
  parallel::PipelineShape shape() const;
  parallel::Lane lane_of(const parallel::Action& pass) const;
  parallel::Activations activation_settings(const parallel::Lane& lane) const;
  nn::ForwardContext context(const loss::BatchTensors& batch, const parallel::Lane& lane) const;
  nn::Head head(const parallel::Lane& lane) const;
  void put(const parallel::Action& pass, Flight flight);
  Flight take(const parallel::Action& pass);
  const models::MultiTokenPredictor* predictor() const;  // what multi-token prediction is trained with; null where it is not
  loss::GlobalFrequencies frequencies(const Flight& flight, const MicroBatch& batch, const loss::MixtureSpan& span, const at::Tensor& pooled, const dist::Mesh& mesh) const;
  loss::GlobalFrequencies frequencies_by_row(const std::vector<nn::RouterRecord>& routers, const loss::BatchTensors& batch, const dist::Mesh& mesh) const;
  // The weighted loss of multi-token prediction; adds its router to `routers`.
  at::Tensor predict_further(const at::Tensor& hidden, const MicroBatch& batch, const parallel::Lane& lane, std::vector<nn::RouterRecord>& routers) const;
  void add(const loss::Terms& terms);
  void add_counts(const Flight& flight, const std::vector<nn::RouterRecord>& routers, const loss::BatchTensors& batch, const loss::MixtureSpan& span);

  const StepConfig& config_;
  const StepParts& parts_;
  const std::vector<MicroBatch>& batches_;
  const loss::Denominators& denominators_;
  double mtp_tokens_;
  std::int64_t step_;
  std::mutex mutex_;  // of flights_, which both lanes use; what else changes is of backward passes alone, and of those one runs at a time
  std::map<std::pair<std::int64_t, std::int64_t>, Flight> flights_;
  StepResult result_;
  at::Tensor chosen_counts_, counted_;
  bool counts_only_ = false;
};

}  // namespace sluice::train
