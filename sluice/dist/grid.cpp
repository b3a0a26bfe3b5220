#include "sluice/dist/grid.h"

#include "sluice/base/error.h"

namespace sluice::dist {
namespace {

// Whether two places may differ in nothing but what `axis` spans.
bool along(Axis axis, const Place& a, const Place& b) {
  const bool attention = axis == Axis::kTensor || axis == Axis::kContext || axis == Axis::kData || axis == Axis::kReplica;
  const bool replica = axis == Axis::kReplica;
  if (axis == Axis::kWorld) return true;
  if (axis != Axis::kPipeline && a.pipeline != b.pipeline) return false;
  if (attention || axis == Axis::kPipeline) {
    return (axis == Axis::kTensor || a.tensor == b.tensor) && (axis == Axis::kContext || replica || a.context == b.context) &&
           (axis == Axis::kData || replica || a.data == b.data);
  }
  return (axis == Axis::kExpertTensor || a.expert_tensor == b.expert_tensor) && (axis == Axis::kExpert || a.expert == b.expert) &&
         (axis == Axis::kExpertData || a.expert_data == b.expert_data);
}

}  // namespace

Place place_of(const GridSizes& sizes, std::int64_t rank) {
  SLUICE_CHECK(rank >= 0 && rank < sizes.world(), "rank " + std::to_string(rank) + " of " + std::to_string(sizes.world()));
  const std::int64_t in_stage = rank % sizes.stage(), in_context = rank / sizes.tensor;
  return {rank % sizes.tensor,
          in_context % sizes.context,
          in_context / sizes.context % sizes.data,
          rank / sizes.stage(),
          in_stage % sizes.expert_tensor,
          in_stage / sizes.expert_tensor % sizes.expert,
          in_stage / (sizes.expert_tensor * sizes.expert)};
}

std::vector<std::int64_t> ranks_along(const GridSizes& sizes, std::int64_t rank, Axis axis) {
  const Place own = place_of(sizes, rank);
  std::vector<std::int64_t> out;
  for (std::int64_t other = 0; other < sizes.world(); ++other) {
    if (along(axis, own, place_of(sizes, other))) out.push_back(other);
  }
  return out;
}

}  // namespace sluice::dist
