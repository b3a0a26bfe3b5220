#include "sluice/parallel/lanes.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <barrier>
#include <chrono>

#include "../dist/ranks.h"
#include "sluice/base/error.h"

namespace sluice::parallel {
namespace {

using namespace std::chrono_literals;

// A lane of a process that is everybody.
struct Alone {
  dist::Mesh mesh = dist::single_process_mesh();
  Stages stages{ParallelismConfig{}, 1, {}, 0};
  SecondLane lane{mesh, stages, {}};
};

TEST(SecondLane, RunsBothAtTheSameTime) {
  Alone alone;
  std::barrier meeting(2);
  alone.lane.run([&] { meeting.arrive_and_wait(); }, [&] { meeting.arrive_and_wait(); });
}

TEST(SecondLane, KeepsItsThread) {
  Alone alone;
  std::vector<std::thread::id> threads;
  const auto note = [&] { threads.push_back(std::this_thread::get_id()); };
  alone.lane.run({}, note);
  alone.lane.run({}, note);
  alone.lane.run(note, {});
  EXPECT_EQ(threads[0], threads[1]);
  EXPECT_NE(threads[0], threads[2]);
  EXPECT_EQ(threads[2], std::this_thread::get_id());
}

TEST(SecondLane, ThrowsWhatEitherThrowsOnceBothHaveEnded) {
  Alone alone;
  bool ended = false;
  const auto fails = [] { throw Error("a problem", "a remedy"); };
  const auto ends = [&] {
    std::this_thread::sleep_for(20ms);
    ended = true;
  };
  EXPECT_THROW(alone.lane.run(fails, ends), Error);
  EXPECT_TRUE(std::exchange(ended, false));
  EXPECT_THROW(alone.lane.run(ends, fails), Error);
  EXPECT_TRUE(ended);
  EXPECT_THROW(alone.lane.run(fails, fails), Error);
  EXPECT_NO_THROW(alone.lane.run(ends, {})) << "what failed is over";
}

TEST(SecondLane, ComputesWithAsManyThreads) {
  Alone alone;
  int threads = 0;
  alone.lane.run({}, [&] { threads = at::get_num_threads(); });
  EXPECT_EQ(threads, at::get_num_threads());
}

TEST(SecondLane, BackwardPassesRunBesideEachOther) {
  Alone alone;
  const at::Tensor x = at::arange(100000, at::kFloat) / 1e5;
  const auto gradient = [&] {
    const at::Tensor leaf = x.clone().requires_grad_();
    torch::autograd::backward({(leaf.sin() * leaf.exp()).sum()}, {});
    return leaf.grad();
  };
  at::Tensor here, beside;
  alone.lane.run([&] { here = gradient(); }, [&] { beside = gradient(); });
  EXPECT_TRUE(at::equal(here, gradient()) && at::equal(beside, gradient()));
}

// The lanes of two ranks come to their exchanges in opposite orders.
TEST(SecondLane, ExchangesWaitForTheirOwnLaneAlone) {
  dist::run_ranks(2, [](const dist::Rendezvous& here) {
    const auto meeting = std::make_shared<const dist::Meeting>(here, 20s);
    dist::Mesh mesh = dist::make_mesh(meeting, here, 20s);
    dist::lay_out(mesh, {.data = 2, .expert = 2});
    const Stages stages({}, 1, {}, 0);
    SecondLane lane(mesh, stages, {});
    const auto sum = [&](const dist::Group& group, double value, std::int64_t late) {
      if (here.rank == late) std::this_thread::sleep_for(100ms);
      EXPECT_EQ(group.sum(value), 2 * value);
    };
    lane.run([&] { sum(*mesh.experts, 1, 0); }, [&] { sum(*lane.lane().mesh.experts, 10, 1); });
    mesh.world->barrier();
    EXPECT_EQ(mesh.observers->traffic.groups().at("experts, lane 2")[static_cast<std::size_t>(dist::Operation::kAllReduce)].calls, 1);
  });
}

}  // namespace
}  // namespace sluice::parallel
