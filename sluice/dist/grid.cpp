#include "sluice/dist/grid.h"

#include "sluice/base/error.h"

namespace sluice::dist {
namespace {

// Whether places that differ in what `may_differ` says, and in nothing else, lie along the axis.
struct MayDiffer {
  bool tensor = false, context = false, data = false, pipeline = false, expert_tensor = false, expert = false, expert_data = false;
  bool in_experts_grid = false;
};

MayDiffer may_differ(Axis axis) {
  switch (axis) {
    case Axis::kWorld: return {.tensor = true, .context = true, .data = true, .pipeline = true};
    case Axis::kTensor: return {.tensor = true};
    case Axis::kContext: return {.context = true};
    case Axis::kData: return {.data = true};
    case Axis::kReplica: return {.context = true, .data = true};
    case Axis::kRows: return {.tensor = true, .context = true};
    case Axis::kStage: return {.tensor = true, .context = true, .data = true};
    case Axis::kPipeline: return {.pipeline = true};
    case Axis::kExpertTensor: return {.expert_tensor = true, .in_experts_grid = true};
    case Axis::kExpert: return {.expert = true, .in_experts_grid = true};
    case Axis::kExperts: return {.expert_tensor = true, .expert = true, .in_experts_grid = true};
    case Axis::kExpertData: break;
  }
  return {.expert_data = true, .in_experts_grid = true};
}

bool along(const MayDiffer& may, const Place& a, const Place& b) {
  if (!may.pipeline && a.pipeline != b.pipeline) return false;
  if (may.in_experts_grid) {
    return (may.expert_tensor || a.expert_tensor == b.expert_tensor) && (may.expert || a.expert == b.expert) && (may.expert_data || a.expert_data == b.expert_data);
  }
  return (may.tensor || a.tensor == b.tensor) && (may.context || a.context == b.context) && (may.data || a.data == b.data);
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
    if (along(may_differ(axis), own, place_of(sizes, other))) out.push_back(other);
  }
  return out;
}

}  // namespace sluice::dist
