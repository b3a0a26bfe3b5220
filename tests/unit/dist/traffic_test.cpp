#include "sluice/dist/traffic.h"

#include <ATen/ATen.h>

#include "ranks.h"
#include "sluice/dist/gloo.h"
#include "sluice/dist/observers.h"

namespace sluice::dist {
namespace {

TEST(Traffic, BytesOfEachOperation) {
  EXPECT_EQ(bytes_sent(Operation::kAllReduce, 400, 4), 600);  // 3/4 to sum the parts, 3/4 to hand them round
  EXPECT_EQ(bytes_sent(Operation::kAllGather, 100, 4), 300);
  EXPECT_EQ(bytes_sent(Operation::kReduceScatter, 100, 4), 300);
  EXPECT_EQ(bytes_sent(Operation::kAllToAll, 70, 4), 70);
  EXPECT_EQ(bytes_sent(Operation::kSend, 100, 2), 100);
  EXPECT_EQ(bytes_sent(Operation::kReceive, 100, 2), 0);
  EXPECT_EQ(bytes_sent(Operation::kBroadcast, 100, 4), 300);
  EXPECT_EQ(bytes_sent(Operation::kBarrier, 0, 4), 0);
}

TEST(Traffic, IsCountedByGroupAndOperation) {
  run_ranks(3, [](const Rendezvous& here) {
    const Meeting meeting(here, std::chrono::seconds(20));
    const auto world = meeting.group("world", {0, 1, 2}, std::chrono::seconds(20));
    Traffic& traffic = meeting.observers()->traffic;
    const auto count = [&](Operation operation) { return traffic.of_group("world")[static_cast<std::size_t>(operation)]; };
    world->sum(1);
    world->sum(1);
    EXPECT_EQ(count(Operation::kAllReduce).calls, 2);
    EXPECT_EQ(count(Operation::kAllReduce).bytes, 2 * (2 * 2 * 8 / 3));
    world->broadcast(at::zeros({10}), 1);
    EXPECT_EQ(count(Operation::kBroadcast).bytes, here.rank == 1 ? 80 : 0);
    // Each rank sends r rows of 8 bytes to rank r, itself too.
    world->all_to_all(at::zeros({3, 2}), {{0, 1, 2}, std::vector<std::int64_t>(3, here.rank)});
    EXPECT_EQ(count(Operation::kAllToAll).bytes, (3 - here.rank) * 8);
    EXPECT_EQ(traffic.bytes(), count(Operation::kAllReduce).bytes + count(Operation::kBroadcast).bytes + count(Operation::kAllToAll).bytes);
    traffic.reset();
    world->barrier();
    EXPECT_EQ(traffic.bytes(), 0);
    EXPECT_EQ(count(Operation::kBarrier).calls, 1);
  });
}

}  // namespace
}  // namespace sluice::dist
