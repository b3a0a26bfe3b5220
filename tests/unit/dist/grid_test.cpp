#include "sluice/dist/grid.h"

#include <gtest/gtest.h>

#include <set>

namespace sluice::dist {
namespace {

using Ranks = std::vector<std::int64_t>;

TEST(Grid, NeighboursInTensorAreNeighboursInRank) {
  const GridSizes sizes{.tensor = 2, .context = 2, .data = 2, .pipeline = 2};
  EXPECT_EQ(sizes.world(), 16);
  EXPECT_EQ(ranks_along(sizes, 5, Axis::kTensor), (Ranks{4, 5}));
  EXPECT_EQ(ranks_along(sizes, 5, Axis::kContext), (Ranks{5, 7}));
  EXPECT_EQ(ranks_along(sizes, 5, Axis::kData), (Ranks{1, 5}));
  EXPECT_EQ(ranks_along(sizes, 5, Axis::kReplica), (Ranks{1, 3, 5, 7}));
  EXPECT_EQ(ranks_along(sizes, 5, Axis::kPipeline), (Ranks{5, 13}));
}

// Experts over the data ranks of a stage: those of one set of experts are next to each other.
TEST(Grid, ExpertsAreLaidOutAnewInEachStage) {
  const GridSizes sizes{.data = 4, .pipeline = 2, .expert = 2};
  EXPECT_EQ(sizes.expert_data(), 2);
  EXPECT_EQ(ranks_along(sizes, 2, Axis::kExpert), (Ranks{2, 3}));
  EXPECT_EQ(ranks_along(sizes, 2, Axis::kExpertData), (Ranks{0, 2}));
  EXPECT_EQ(ranks_along(sizes, 6, Axis::kExpert), (Ranks{6, 7}));
}

TEST(Grid, ExpertsMaySpanTensorRanks) {
  const GridSizes sizes{.tensor = 2, .data = 2, .expert_tensor = 1, .expert = 4};
  EXPECT_EQ(ranks_along(sizes, 0, Axis::kExpert), (Ranks{0, 1, 2, 3}));
  EXPECT_EQ(ranks_along(sizes, 0, Axis::kExpertData), (Ranks{0}));
}

// Along any axis the world falls into groups of equal size that share nothing.
TEST(Grid, EveryAxisPartitionsTheWorld) {
  const GridSizes sizes{.tensor = 2, .context = 2, .data = 2, .pipeline = 2, .expert_tensor = 2, .expert = 2};
  for (const Axis axis : {Axis::kWorld, Axis::kTensor, Axis::kContext, Axis::kData, Axis::kReplica, Axis::kPipeline, Axis::kExpertTensor, Axis::kExpert, Axis::kExpertData}) {
    std::set<Ranks> groups;
    std::size_t ranks = 0;
    for (std::int64_t rank = 0; rank < sizes.world(); ++rank) groups.insert(ranks_along(sizes, rank, axis));
    for (const Ranks& group : groups) ranks += group.size();
    EXPECT_EQ(ranks, 16u) << static_cast<int>(axis);
    EXPECT_EQ(groups.size() * groups.begin()->size(), 16u) << static_cast<int>(axis);
  }
}

}  // namespace
}  // namespace sluice::dist
