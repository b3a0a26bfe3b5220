#include "sluice/parallel/schedule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <tuple>

namespace sluice::parallel {
namespace {

using Kind = ActionKind;

enum class Passes { kOneAtATime, kOverlapped };

// What a rank does: turn after turn, in each one or two lists of actions at the same time. A backward pass comes first where there are two, so that one
// which needs the forward pass beside it is found.
using Turns = std::vector<std::vector<std::vector<Action>>>;
Turns turns_of(const PipelineShape& shape, std::int64_t rank, Passes passes) {
  if (passes == Passes::kOneAtATime) return {{pipeline_schedule(shape, rank)}};
  Turns out;
  for (const Turn& turn : overlapped_schedule(shape, rank)) out.push_back({turn.backward, turn.forward});
  return out;
}

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

// Runs all ranks' lists: a receive waits for the oldest message from its peer, which must be the one it means; a send does not wait. A turn begins
// where the one before has ended. Overlapped, the messages of the two directions travel apart.
class Simulation {
 public:
  Simulation(const PipelineShape& shape, Passes passes) : shape_(shape), passes_(passes) {
    for (std::int64_t rank = 0; rank < shape.stages; ++rank) ranks_.push_back({turns_of(shape, rank, passes)});
  }

  // Returns what went wrong; empty = every rank came to its end.
  std::string run() {
    for (bool moved = true; moved && problem_.empty();) {
      moved = false;
      for (std::size_t rank = 0; rank < ranks_.size(); ++rank) {
        while (advance(static_cast<std::int64_t>(rank), ranks_[rank])) moved = true;
      }
    }
    if (!problem_.empty()) return problem_;
    for (std::size_t rank = 0; rank < ranks_.size(); ++rank) {
      if (ranks_[rank].turn < ranks_[rank].turns.size()) return "rank " + std::to_string(rank) + " waits for ever";
    }
    for (const auto& [route, messages] : under_way_) {
      if (!messages.empty()) return "a message is never received";
    }
    return done_.size() == static_cast<std::size_t>(2 * shape_.virtual_stages() * shape_.micro_batches) ? "" : "a pass is missing";
  }

 private:
  // A pass, or what it gives to the next stage: forward or backward, micro-batch, virtual stage.
  using Pass = std::tuple<Kind, std::int64_t, std::int64_t>;

  struct Rank {
    Turns turns;
    std::size_t turn = 0;
    std::vector<std::size_t> next = {0, 0};  // action of each list of this turn
  };

  // Whether any of the turn's lists went on, or the turn ended.
  bool advance(std::int64_t rank, Rank& here) {
    if (here.turn == here.turns.size()) return false;
    const auto& lists = here.turns[here.turn];
    bool moved = false, ended = true;
    for (std::size_t list = 0; list < lists.size(); ++list) {
      while (here.next[list] < lists[list].size() && step(rank, lists[list][here.next[list]])) {
        ++here.next[list];
        moved = true;
      }
      ended = ended && here.next[list] == lists[list].size();
    }
    if (!ended) return moved;
    ++here.turn;
    here.next = {0, 0};
    return true;
  }

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
    under_way_[route(rank, peer_of(shape_, rank, kind), kind)].push_back(what);
    return true;
  }
  bool receive(std::int64_t rank, Kind kind, const Pass& what) {
    auto& messages = under_way_[route(peer_of(shape_, rank, kind), rank, kind)];
    if (messages.empty()) return false;
    if (messages.front() != what) problem_ = "messages are received in another order than they are sent";
    messages.pop_front();
    received_.insert({rank, what});
    return true;
  }

  using Route = std::tuple<std::int64_t, std::int64_t, bool>;  // from, to, whether it is for backward messages alone
  Route route(std::int64_t from, std::int64_t to, Kind kind) const {
    return {from, to, passes_ == Passes::kOverlapped && (kind == Kind::kSendBackward || kind == Kind::kReceiveBackward)};
  }

  const PipelineShape shape_;
  const Passes passes_;
  std::vector<Rank> ranks_;
  std::map<Route, std::deque<Pass>> under_way_;
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
  for (const PipelineShape& shape : all_shapes()) EXPECT_EQ(Simulation(shape, Passes::kOneAtATime).run(), "") << written(shape);
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

// "F0 B0|F1 B1": passes of a turn at the same time; those of lane 1 are marked.
std::string written_turns(const PipelineShape& shape, std::int64_t rank) {
  std::string out;
  for (const Turn& turn : overlapped_schedule(shape, rank)) {
    std::string passes;
    for (const auto& actions : {turn.backward, turn.forward}) {
      for (const Action& action : actions) {
        if (action.kind != Kind::kForward && action.kind != Kind::kBackward) continue;
        passes += (passes.empty() ? "" : "|") + written({action}) + (action.lane == 1 ? "'" : "");
      }
    }
    out += (out.empty() ? "" : " ") + passes;
  }
  return out;
}

TEST(Overlap, ABackwardPassRunsBesideTheNextForwardPass) {
  EXPECT_EQ(written_turns({1, 1, 1}, 0), "F0 B0");
  EXPECT_EQ(written_turns({1, 1, 4}, 0), "F0 B0|F1' B1'|F2 B2|F3' B3'");
  EXPECT_EQ(written_turns({2, 1, 4}, 0), "F0 F1 B0|F2' B1|F3' B2' B3'");
  EXPECT_EQ(written_turns({2, 1, 4}, 1), "F0 B0|F1' B1'|F2 B2|F3' B3'");
}

TEST(Overlap, EveryPassRunsOnceAfterWhatItNeedsAndNoRankWaitsForEver) {
  for (const PipelineShape& shape : all_shapes()) EXPECT_EQ(Simulation(shape, Passes::kOverlapped).run(), "") << written(shape);
}

// Calls check(shape, actions of the plain schedule, turns) for every rank of every shape.
void for_each_rank(const std::function<void(const PipelineShape& shape, const std::vector<Action>& plain, const std::vector<Turn>& turns)>& check) {
  for (const PipelineShape& shape : all_shapes()) {
    for (std::int64_t rank = 0; rank < shape.stages; ++rank) check(shape, pipeline_schedule(shape, rank), overlapped_schedule(shape, rank));
  }
}

// So sums of gradients and of losses are in the same order.
TEST(Overlap, EachDirectionKeepsItsOrder) {
  for_each_rank([](const PipelineShape& shape, const std::vector<Action>& plain, const std::vector<Turn>& turns) {
    std::vector<Action> forward, backward, overlapped_forward, overlapped_backward;
    for (const Action& action : plain) {
      const bool is_forward = action.kind == Kind::kReceiveForward || action.kind == Kind::kForward || action.kind == Kind::kSendForward;
      (is_forward ? forward : backward).push_back(action);
    }
    const auto add = [](std::vector<Action>& to, std::vector<Action> actions) {
      for (Action& action : actions) action.lane = 0;
      to.insert(to.end(), actions.begin(), actions.end());
    };
    for (const Turn& turn : turns) {
      add(overlapped_forward, turn.forward);
      add(overlapped_backward, turn.backward);
    }
    EXPECT_TRUE(forward == overlapped_forward && backward == overlapped_backward) << written(shape);
  });
}

TEST(Overlap, HoldsAtMostOneMicroBatchMore) {
  for_each_rank([](const PipelineShape& shape, const std::vector<Action>& plain, const std::vector<Turn>& turns) {
    std::vector<Action> forward_first;
    for (const Turn& turn : turns) {
      forward_first.insert(forward_first.end(), turn.forward.begin(), turn.forward.end());
      forward_first.insert(forward_first.end(), turn.backward.begin(), turn.backward.end());
    }
    EXPECT_LE(most_in_flight(forward_first), most_in_flight(plain) + 1) << written(shape);
  });
}

TEST(Overlap, AMicroBatchStaysInItsLane) {
  for_each_rank([](const PipelineShape& shape, const std::vector<Action>&, const std::vector<Turn>& turns) {
    std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t> lanes;
    for (const Turn& turn : turns) {
      EXPECT_TRUE(turn.forward.empty() || turn.backward.empty() || turn.forward[0].lane != turn.backward[0].lane) << written(shape);
      for (const auto& actions : {turn.forward, turn.backward}) {
        for (const Action& action : actions) EXPECT_EQ(lanes.try_emplace({action.micro_batch, action.chunk}, action.lane).first->second, action.lane) << written(shape);
      }
    }
  });
}

}  // namespace
}  // namespace sluice::parallel
