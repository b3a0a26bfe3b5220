// Which processes work together under a layout: plain arithmetic on ranks, without any communication.
#pragma once
#include <cstdint>
#include <vector>

namespace sluice::dist {

// How the ranks of a run are split, as Megatron counts: world = tensor * context * data * pipeline. The ranks of one pipeline stage are laid
// out again for experts: expert_tensor * expert * expert_data, which is as many.
struct GridSizes {
  std::int64_t tensor = 1, context = 1, data = 1, pipeline = 1;
  std::int64_t expert_tensor = 1, expert = 1;

  std::int64_t world() const { return tensor * context * data * pipeline; }
  std::int64_t stage() const { return tensor * context * data; }  // ranks of a pipeline stage
  std::int64_t expert_data() const { return stage() / (expert_tensor * expert); }
};

// A rank's place in the grid. Neighbours in `tensor` are neighbours in rank; then context, data, pipeline. In the grid of experts:
// expert_tensor, expert, expert_data.
struct Place {
  std::int64_t tensor = 0, context = 0, data = 0, pipeline = 0;
  std::int64_t expert_tensor = 0, expert = 0, expert_data = 0;
};
Place place_of(const GridSizes& sizes, std::int64_t rank);

// Directions in the grid, and some that join several: kReplica data and context (the same dense weights, different tokens), kRows tensor and
// context (shares of the same rows), kStage all but pipeline, kExperts expert_tensor and expert (together they hold a layer's experts).
enum class Axis { kWorld, kTensor, kContext, kData, kReplica, kRows, kStage, kPipeline, kExpertTensor, kExpert, kExperts, kExpertData };

// The ranks that differ from `rank` along `axis` only, itself among them, rising.
std::vector<std::int64_t> ranks_along(const GridSizes& sizes, std::int64_t rank, Axis axis);

}  // namespace sluice::dist
