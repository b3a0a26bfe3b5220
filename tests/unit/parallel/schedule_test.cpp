#include "sluice/parallel/schedule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <tuple>

namespace sluice::parallel {
namespace {

using Kind = ActionKind;

// "F0 B0" with the chunk after a point where it is not 0: "F0.1"; messages in lower case: r, s before f or b.
std::string written(const std::vector<Action>& actions) {
  const char* const names[] = {"rf", "F", "sf", "rb", "B", "sb"};
  std::string out;
  for (const Action& action : actions) {
    out += (out.empty() ? "" : " ") + std::string(names[static_cast<int>(action.kind)]) + std::to_string(action.micro_batch);
    if (action.chunk > 0) out += "." + std::to_string(action.chunk);
  }
  return out;
}

std::vector<PipelineShape> all_shapes() {
  std::vector<PipelineShape> out;
  for (std::int64_t stages = 1; stages <= 8; ++stages) {
    for (std::int64_t chunks = 1; chunks <= 4; ++chunks) {
      for (std::int64_t micro_batches = 1; micro_batches <= 17; ++micro_batches) out.push_back({stages, chunks, micro_batches});
    }
  }
  return out;
}

std::string written(const PipelineShape& shape) {
  return std::to_string(shape.stages) + " stages, " + std::to_string(shape.chunks) + " chunks, " + std::to_string(shape.micro_batches) + " micro-batches";
}

// Runs all ranks' lists: a receive waits for the oldest message from its peer, which must be the one it means; a send does not wait.
class Simulation {
 public:
  explicit Simulation(const PipelineShape& shape) : shape_(shape), next_(static_cast<std::size_t>(shape.stages), 0) {
    for (std::int64_t rank = 0; rank < shape.stages; ++rank) lists_.push_back(pipeline_schedule(shape, rank));
  }

  // Returns what went wrong; empty = every rank came to its end.
  std::string run() {
    for (bool moved = true; moved && problem_.empty();) {
      moved = false;
      for (std::size_t rank = 0; rank < lists_.size(); ++rank) {
        while (next_[rank] < lists_[rank].size() && step(static_cast<std::int64_t>(rank), lists_[rank][next_[rank]])) {
          ++next_[rank];
          moved = true;
        }
      }
    }
    if (!problem_.empty()) return problem_;
    for (std::size_t rank = 0; rank < lists_.size(); ++rank) {
      if (next_[rank] < lists_[rank].size()) return "rank " + std::to_string(rank) + " waits for ever";
    }
    for (const auto& [route, messages] : under_way_) {
      if (!messages.empty()) return "a message is never received";
    }
    return done_.size() == static_cast<std::size_t>(2 * shape_.virtual_stages() * shape_.micro_batches) ? "" : "a pass is missing";
  }

 private:
  // A pass, or what it gives to the next stage: forward or backward, micro-batch, virtual stage.
  using Pass = std::tuple<Kind, std::int64_t, std::int64_t>;

  bool step(std::int64_t rank, const Action& action) {
    const std::int64_t stage = action.chunk * shape_.stages + rank, batch = action.micro_batch;
    switch (action.kind) {
      case Kind::kReceiveForward: return receive(rank, action.kind, {Kind::kForward, batch, stage - 1});
      case Kind::kReceiveBackward: return receive(rank, action.kind, {Kind::kBackward, batch, stage + 1});
      case Kind::kSendForward: return send(rank, action.kind, {Kind::kForward, batch, stage});
      case Kind::kSendBackward: return send(rank, action.kind, {Kind::kBackward, batch, stage});
      case Kind::kForward: return pass(rank, {Kind::kForward, batch, stage}, stage > 0, {Kind::kForward, batch, stage - 1});
      case Kind::kBackward: break;
    }
    if (!done_.contains({Kind::kForward, batch, stage})) problem_ = "a backward pass before its forward";
    return pass(rank, {Kind::kBackward, batch, stage}, stage + 1 < shape_.virtual_stages(), {Kind::kBackward, batch, stage + 1});
  }
  bool pass(std::int64_t rank, const Pass& own, bool has_input, const Pass& input) {
    const bool here = shape_.stages == 1 ? done_.contains(input) : received_.contains({rank, input});
    if (has_input && !here) problem_ = "a pass without its input";
    if (!done_.insert(own).second) problem_ = "a pass twice";
    return true;
  }
  bool send(std::int64_t rank, Kind kind, const Pass& what) {
    if (!done_.contains(what)) problem_ = "sent before it is computed";
    under_way_[{rank, peer_of(shape_, rank, kind)}].push_back(what);
    return true;
  }
  bool receive(std::int64_t rank, Kind kind, const Pass& what) {
    auto& messages = under_way_[{peer_of(shape_, rank, kind), rank}];
    if (messages.empty()) return false;
    if (messages.front() != what) problem_ = "messages are received in another order than they are sent";
    messages.pop_front();
    received_.insert({rank, what});
    return true;
  }

  const PipelineShape shape_;
  std::vector<std::vector<Action>> lists_;
  std::vector<std::size_t> next_;
  std::map<std::pair<std::int64_t, std::int64_t>, std::deque<Pass>> under_way_;  // from, to
  std::set<std::pair<std::int64_t, Pass>> received_;
  std::set<Pass> done_;
  std::string problem_;
};

TEST(Schedule, OneStageRunsEachMicroBatchForwardAndBackward) {
  EXPECT_EQ(written(pipeline_schedule({1, 1, 3}, 0)), "F0 B0 F1 B1 F2 B2");
  EXPECT_EQ(written(pipeline_schedule({1, 2, 2}, 0)), "F0 F0.1 B0.1 B0 F1 F1.1 B1.1 B1");
}

// Narayanan et al., figure 4, bottom, with three stages.
TEST(Schedule, OneForwardOneBackwardIsAsDrawnInThePaper) {
  EXPECT_EQ(written(pipeline_schedule({3, 1, 4}, 0)), "F0 sf0 F1 sf1 F2 sf2 rb0 B0 F3 sf3 rb1 B1 rb2 B2 rb3 B3");
  EXPECT_EQ(written(pipeline_schedule({3, 1, 4}, 1)), "rf0 F0 sf0 rf1 F1 sf1 rb0 B0 sb0 rf2 F2 sf2 rb1 B1 sb1 rf3 F3 sf3 rb2 B2 sb2 rb3 B3 sb3");
  EXPECT_EQ(written(pipeline_schedule({3, 1, 4}, 2)), "rf0 F0 B0 sb0 rf1 F1 B1 sb1 rf2 F2 B2 sb2 rf3 F3 B3 sb3");
}

TEST(Schedule, ChunksInterleaveInGroupsOfAsManyMicroBatchesAsStages) {
  EXPECT_EQ(written(pipeline_schedule({2, 2, 2}, 0)), "F0 sf0 F1 sf1 rf0.1 F0.1 sf0.1 rf1.1 F1.1 sf1.1 rb0.1 B0.1 sb0.1 rb1.1 B1.1 sb1.1 rb0 B0 rb1 B1");
  EXPECT_EQ(written(pipeline_schedule({2, 2, 2}, 1)), "rf0 F0 sf0 rf1 F1 sf1 rf0.1 F0.1 B0.1 sb0.1 rf1.1 F1.1 B1.1 sb1.1 rb0 B0 sb0 rb1 B1 sb1");
}

TEST(Schedule, EveryPassRunsOnceAfterWhatItNeedsAndNoRankWaitsForEver) {
  for (const PipelineShape& shape : all_shapes()) EXPECT_EQ(Simulation(shape).run(), "") << written(shape);
}

TEST(Schedule, EachChunkSumsGradientsInTheOrderOfMicroBatches) {
  for (const PipelineShape& shape : all_shapes()) {
    for (std::int64_t rank = 0; rank < shape.stages; ++rank) {
      std::vector<std::int64_t> next(static_cast<std::size_t>(shape.chunks), 0);
      for (const Action& action : pipeline_schedule(shape, rank)) {
        if (action.kind != Kind::kBackward) continue;
        EXPECT_EQ(action.micro_batch, next[static_cast<std::size_t>(action.chunk)]++) << written(shape);
      }
    }
  }
}

std::int64_t most_in_flight(const std::vector<Action>& actions) {
  std::int64_t now = 0, most = 0;
  for (const Action& action : actions) {
    now += action.kind == Kind::kForward ? 1 : action.kind == Kind::kBackward ? -1 : 0;
    most = std::max(most, now);
  }
  return most;
}

TEST(Schedule, HoldsNoMoreMicroBatchesThanThePaperSays) {
  for (const PipelineShape& shape : all_shapes()) {
    for (std::int64_t rank = 0; rank < shape.stages; ++rank) {
      const std::int64_t most = most_in_flight(pipeline_schedule(shape, rank)), later = shape.stages - rank - 1;
      const std::int64_t paper = shape.chunks == 1 ? later + 1 : 2 * later + (shape.chunks - 1) * shape.stages + 1;
      EXPECT_LE(most, std::min(paper, shape.chunks * shape.micro_batches)) << written(shape);
    }
  }
}

// Narayanan et al., section 2.2: a pipeline cannot idle less than while the first micro-batch comes and the last one leaves.
TEST(Schedule, TheBubbleIsThePapers) {
  EXPECT_EQ(idle_slots({1, 1, 5}), 0);
  EXPECT_EQ(idle_slots({4, 1, 2}), 9);
  for (const PipelineShape& shape : all_shapes()) {
    const std::int64_t idle = idle_slots(shape), least = 3 * (shape.stages - 1);
    const bool as_little_as_can_be = shape.chunks == 1 || shape.micro_batches % shape.stages == 0;
    EXPECT_TRUE(as_little_as_can_be ? idle == least : idle >= least) << written(shape) << ": " << idle;
  }
}

TEST(Schedule, InterleavingLowersTheBubble) {
  for (const PipelineShape& shape : all_shapes()) {
    if (shape.stages == 1 || shape.chunks == 1 || shape.micro_batches == 1) continue;
    // Slots of a stage in one piece are as long as `chunks` slots here.
    EXPECT_LT(idle_slots(shape), shape.chunks * idle_slots({shape.stages, 1, shape.micro_batches})) << written(shape);
  }
}

}  // namespace
}  // namespace sluice::parallel
