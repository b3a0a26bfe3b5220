#include "sluice/dist/agreement.h"

#include <ATen/ATen.h>

#include "ranks.h"
#include "sluice/dist/gloo.h"

namespace sluice::dist {
namespace {

using Ranks = std::vector<std::int64_t>;

TEST(Agreement, AChecksumSeesEveryBitOfATensor) {
  const at::Tensor zeros = at::zeros({1001}, at::kBFloat16);
  for (const std::int64_t at : {0, 500, 1000}) {
    at::Tensor changed = zeros.clone();
    changed[at] = -0.0f;
    EXPECT_NE(checksum(changed), checksum(zeros)) << at;
  }
  EXPECT_EQ(checksum(zeros.clone()), checksum(zeros));
}

TEST(Agreement, NamesTheRanksThatDifferFromMost) {
  run_ranks(4, [](const Rendezvous& here) {
    const auto world = Meeting(here, std::chrono::seconds(20)).group("world", {0, 1, 2, 3}, std::chrono::seconds(20));
    at::Tensor weights = at::ones({100});
    EXPECT_EQ(ranks_that_differ(*world, checksum(weights)), Ranks{});
    if (here.rank == 1) weights[99] = 1 + 1e-7f;
    EXPECT_EQ(ranks_that_differ(*world, checksum(weights)), Ranks{1});
    EXPECT_EQ(ranks_that_differ(*world, here.rank < 2 ? 5 : ~std::uint64_t{0}), (Ranks{2, 3})) << "of two halves that of the lowest rank counts";
  });
}

}  // namespace
}  // namespace sluice::dist
