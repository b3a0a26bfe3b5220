// Pipeline parallelism: each rank has some of the layers, and activations and their gradients travel between neighbours.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sluice/dist/mesh.h"
#include "sluice/nn/forward.h"
#include "sluice/parallel/layout.h"
#include "sluice/parallel/schedule.h"

namespace sluice::parallel {

// How a model of `num_layers` lies over the ranks of a pipeline.
class Stages {
 public:
  // `mixtures`: the layers with a router, rising, each of `num_experts` experts.
  Stages(const ParallelismConfig& config, std::int64_t num_layers, std::vector<std::int64_t> mixtures, std::int64_t num_experts);

  std::int64_t ranks() const { return config_.pipeline_model_parallel_size; }
  std::int64_t chunks() const { return chunks_; }
  std::int64_t num_layers() const { return num_layers_; }
  std::int64_t num_mixtures() const { return static_cast<std::int64_t>(mixtures_.size()); }
  std::int64_t num_experts() const { return num_experts_; }
  std::int64_t mixtures_before(std::int64_t layer) const;
  LayerRange layers(std::int64_t rank, std::int64_t chunk) const { return layers_of(config_, num_layers_, rank, chunk); }
  // The rank of a block as nn::PipelineRanks counts them: -1 is the embedding, num_layers the norm, the head and multi-token prediction.
  std::int64_t rank_of(std::int64_t block) const;
  // Whether `rank` holds the parameter of that name. A head that is the embedding, and multi-token prediction, have it on the last rank too.
  bool holds(std::int64_t rank, const std::string& parameter, bool last_needs_embedding) const;

 private:
  ParallelismConfig config_;
  std::int64_t num_layers_, chunks_;
  std::vector<std::int64_t> mixtures_;
  std::int64_t num_experts_;
};

// For evaluation and generation, where all ranks run the same rows: what the first rank of a stage has found comes to all, so that they go on
// with the same bits whatever the order of their sums.
class PipelineBroadcast final : public nn::PipelineRanks {
 public:
  PipelineBroadcast(const dist::Mesh& mesh, const Stages& stages) : mesh_(mesh), stages_(stages) {}
  std::int64_t holder_of(std::int64_t block) const override { return stages_.rank_of(block); }
  bool holds(std::int64_t block) const override { return stages_.rank_of(block) == mesh_.place.pipeline; }
  at::Tensor from_holder(std::int64_t block, const at::Tensor& here) const override;

 private:
  const dist::Mesh& mesh_;
  const Stages& stages_;
};

// What a rank of a pipeline computes. Messages are float32 vectors; the first virtual stage receives nothing forward, the last nothing backward.
class StageWork {
 public:
  virtual ~StageWork() = default;
  virtual std::int64_t forward_size(std::int64_t micro_batch) const = 0;   // elements of a message to the next virtual stage
  virtual std::int64_t backward_size(std::int64_t micro_batch) const = 0;  // to the one before
  // `pass`: which one it is. A forward and a backward pass run at the same time where their lanes differ.
  virtual at::Tensor forward(const Action& pass, const at::Tensor& received) = 0;
  virtual at::Tensor backward(const Action& pass, const at::Tensor& received) = 0;
};

// Runs this rank's part of the schedule (schedule.h).
void run_pipeline(const PipelineShape& shape, const dist::Group& group, StageWork& work);
// The same with two passes at a time: calls `run_turn` with what each lane has to do, empty for nothing. Forward messages travel in one group,
// backward ones in another.
using RunTurn = std::function<void(const std::function<void()>& lane0, const std::function<void()>& lane1)>;
void run_overlapped(const PipelineShape& shape, const dist::Group& forward, const dist::Group& backward, StageWork& work, const RunTurn& run_turn);
// The forward passes alone, one micro-batch after the other.
void run_forward(const PipelineShape& shape, const dist::Group& group, StageWork& work);

}  // namespace sluice::parallel
