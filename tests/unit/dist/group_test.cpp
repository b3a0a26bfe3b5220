#include <ATen/ATen.h>

#include "ranks.h"
#include "sluice/base/error.h"
#include "sluice/dist/gloo.h"

namespace sluice::dist {
namespace {

constexpr std::chrono::seconds kPatience{20};

std::unique_ptr<Group> world_of(const Rendezvous& here) {
  std::vector<std::int64_t> ranks;
  for (std::int64_t rank = 0; rank < here.world; ++rank) ranks.push_back(rank);
  return Meeting(here, kPatience).group("world", ranks, kPatience);
}

at::Tensor floats(std::vector<float> values) { return at::tensor(values); }

TEST(Group, ReducesGathersAndScatters) {
  run_ranks(3, [](const Rendezvous& here) {
    const auto world = world_of(here);
    const auto r = static_cast<float>(here.rank);
    EXPECT_EQ(world->rank(), here.rank);
    EXPECT_EQ(world->size(), 3);
    for (const at::ScalarType type : {at::kFloat, at::kDouble, at::kBFloat16}) {
      at::Tensor x = floats({r, 10}).to(type);
      world->all_reduce(x, Reduce::kSum);
      EXPECT_TRUE(at::equal(x, floats({3, 30}).to(type))) << type;
    }
    at::Tensor largest = floats({r, -r});
    world->all_reduce(largest, Reduce::kMax);
    EXPECT_TRUE(at::equal(largest, floats({2, 0})));
    at::Tensor all = at::empty({6});
    world->start_all_gather(all, floats({r, r + 0.5f}))->wait();
    EXPECT_TRUE(at::equal(all, floats({0, 0.5, 1, 1.5, 2, 2.5})));
    at::Tensor part = at::empty({2});
    world->start_reduce_scatter(part, all * (r + 1))->wait();
    EXPECT_TRUE(at::equal(part, floats({6 * r, 6 * r + 3})));
    EXPECT_EQ(world->sum(0.1 * static_cast<double>(here.rank)), 0.1 + 0.2);
  });
}

// Rank r sends r + to rows to rank `to`, each holding (r, to).
TEST(Group, SendsRowsOfUnevenNumberToEachRank) {
  run_ranks(3, [](const Rendezvous& here) {
    const auto world = world_of(here);
    Group::Rows rows;
    std::vector<at::Tensor> sent, wanted;
    for (std::int64_t other = 0; other < 3; ++other) {
      rows.sent.push_back(here.rank + other);
      rows.received.push_back(here.rank + other);
      sent.push_back(at::tensor({here.rank, other}).to(at::kFloat).expand({here.rank + other, 2}));
      wanted.push_back(at::tensor({other, here.rank}).to(at::kFloat).expand({here.rank + other, 2}));
    }
    EXPECT_TRUE(at::equal(world->all_to_all(at::cat(sent), rows), at::cat(wanted)));
  });
}

TEST(Group, SendsAndReceivesBetweenTwo) {
  run_ranks(2, [](const Rendezvous& here) {
    const auto world = world_of(here);
    const at::Tensor mine = floats({static_cast<float>(here.rank)}), theirs = at::empty({1});
    const auto receiving = world->start_receive(theirs, 1 - here.rank), sending = world->start_send(mine, 1 - here.rank);
    receiving->wait();
    sending->wait();
    EXPECT_EQ(theirs.item<float>(), 1.0f - mine.item<float>());
    const at::Tensor same = floats({static_cast<float>(here.rank)});
    world->broadcast(same, 1);
    EXPECT_EQ(same.item<float>(), 1.0f);
    world->barrier();
  });
}

TEST(Group, ARankThatIsGoneIsAnErrorThatNamesTheOperation) {
  run_ranks(2, [](const Rendezvous& here) {
    const auto world = world_of(here);
    world->barrier();
    if (here.rank == 1) return;
    try {
      for (int i = 0; i < 100; ++i) world->sum(1);
      FAIL() << "nobody is there to answer";
    } catch (const Error& error) {
      EXPECT_NE(error.problem().find("all-reduce"), std::string::npos) << error.problem();
    }
  });
}

TEST(Group, OneProcessIsAValidOne) {
  const auto self = self_group();
  at::Tensor x = floats({1, 2});
  self->all_reduce(x, Reduce::kSum);
  EXPECT_TRUE(at::equal(x, floats({1, 2})));
  EXPECT_TRUE(at::equal(self->all_to_all(x, {{2}, {2}}), x));
}

}  // namespace
}  // namespace sluice::dist
