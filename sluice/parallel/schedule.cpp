#include "sluice/parallel/schedule.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "sluice/base/error.h"

namespace sluice::parallel {
namespace {

void check(const PipelineShape& shape, std::int64_t rank) {
  SLUICE_CHECK(shape.stages >= 1 && shape.chunks >= 1 && shape.micro_batches >= 0,
               "a pipeline of " + std::to_string(shape.stages) + " stages, " + std::to_string(shape.chunks) + " chunks and " +
                   std::to_string(shape.micro_batches) + " micro-batches");
  SLUICE_CHECK(rank >= 0 && rank < shape.stages, "rank " + std::to_string(rank) + " of a pipeline of " + std::to_string(shape.stages));
}

// Each micro-batch through all chunks and back.
std::vector<Action> passes_of_one_stage(const PipelineShape& shape) {
  std::vector<Action> out;
  for (std::int64_t micro_batch = 0; micro_batch < shape.micro_batches; ++micro_batch) {
    for (std::int64_t chunk = 0; chunk < shape.chunks; ++chunk) out.push_back({ActionKind::kForward, micro_batch, chunk});
    for (std::int64_t chunk = shape.chunks; chunk-- > 0;) out.push_back({ActionKind::kBackward, micro_batch, chunk});
  }
  return out;
}

// Micro-batches go in groups of `stages` through chunk after chunk, so the group's first leaves the last stage just when its turn on the
// first stage's next chunk comes. A first group that is not full has gaps in the place of its first micro-batches: as no micro-batch waits for
// another, leaving passes out makes none later, and no cycle of waiting ranks can arise.
std::vector<Action> passes_of_many_stages(const PipelineShape& shape, std::int64_t rank) {
  const auto [stages, chunks, micro_batches] = shape;
  const std::int64_t gaps = chunks == 1 ? 0 : (stages - micro_batches % stages) % stages;
  const std::int64_t passes = (micro_batches + gaps) * chunks, later_ranks = stages - rank - 1;
  const std::int64_t warm_up = std::min(passes, chunks == 1 ? later_ranks : 2 * later_ranks + (chunks - 1) * stages);
  std::vector<Action> out;
  const auto add = [&](ActionKind kind, std::int64_t number) {
    const std::int64_t micro_batch = number / (stages * chunks) * stages + number % stages - gaps, chunk = number / stages % chunks;
    if (micro_batch >= 0) out.push_back({kind, micro_batch, kind == ActionKind::kForward ? chunk : chunks - 1 - chunk});
  };
  for (std::int64_t number = 0; number < warm_up; ++number) add(ActionKind::kForward, number);
  for (std::int64_t number = 0; number < passes; ++number) {
    if (warm_up + number < passes) add(ActionKind::kForward, warm_up + number);
    add(ActionKind::kBackward, number);
  }
  return out;
}

// Forward and backward passes alone.
std::vector<Action> passes_of(const PipelineShape& shape, std::int64_t rank) {
  check(shape, rank);
  return shape.stages == 1 ? passes_of_one_stage(shape) : passes_of_many_stages(shape, rank);
}

// When each pass of the pipeline ends, in slots; -1 = not yet known.
class Clock {
 public:
  explicit Clock(const PipelineShape& shape)
      : shape_(shape), ends_(static_cast<std::size_t>(2 * shape.virtual_stages() * shape.micro_batches), -1), now_(static_cast<std::size_t>(shape.stages), 0) {}

  // False when what the pass waits for has no end yet.
  bool run(std::int64_t rank, const Action& pass) {
    const bool forward = pass.kind == ActionKind::kForward;
    const std::int64_t stage = pass.chunk * shape_.stages + rank, before = forward ? stage - 1 : stage + 1;
    const bool waits = before >= 0 && before < shape_.virtual_stages();
    const std::int64_t ready = waits ? end(pass.kind, before, pass.micro_batch) : 0;
    if (ready < 0) return false;
    std::int64_t& now = now_[static_cast<std::size_t>(rank)];
    now = std::max(now, ready) + (forward ? 1 : 2);
    end(pass.kind, stage, pass.micro_batch) = now;
    return true;
  }
  std::int64_t last() const { return *std::ranges::max_element(now_); }

 private:
  std::int64_t& end(ActionKind kind, std::int64_t stage, std::int64_t micro_batch) {
    const std::int64_t row = kind == ActionKind::kForward ? stage : shape_.virtual_stages() + stage;
    return ends_[static_cast<std::size_t>(row * shape_.micro_batches + micro_batch)];
  }

  const PipelineShape shape_;
  std::vector<std::int64_t> ends_;  // [forward and backward, virtual stages, micro-batches]
  std::vector<std::int64_t> now_;   // a rank
};

bool is_pass(const Action& action) { return action.kind == ActionKind::kForward || action.kind == ActionKind::kBackward; }

// Each pass with its messages: a receive belongs to the pass after it, a send to the one before.
std::vector<std::vector<Action>> passes_with_messages(const std::vector<Action>& actions) {
  std::vector<std::vector<Action>> out;
  bool complete = true;
  for (const Action& action : actions) {
    const bool sends = action.kind == ActionKind::kSendForward || action.kind == ActionKind::kSendBackward;
    if (complete && !sends) out.emplace_back();
    out.back().push_back(action);
    complete = sends || is_pass(action);
  }
  return out;
}

}  // namespace

std::vector<Action> pipeline_schedule(const PipelineShape& shape, std::int64_t rank) {
  std::vector<Action> out;
  for (const Action& pass : passes_of(shape, rank)) {
    const auto add = [&](ActionKind kind) { out.push_back({kind, pass.micro_batch, pass.chunk}); };
    const std::int64_t stage = pass.chunk * shape.stages + rank;
    const bool alone = shape.stages == 1, has_earlier = !alone && stage > 0, has_later = !alone && stage + 1 < shape.virtual_stages();
    if (pass.kind == ActionKind::kForward) {
      if (has_earlier) add(ActionKind::kReceiveForward);
      out.push_back(pass);
      if (has_later) add(ActionKind::kSendForward);
    } else {
      if (has_later) add(ActionKind::kReceiveBackward);
      out.push_back(pass);
      if (has_earlier) add(ActionKind::kSendBackward);
    }
  }
  return out;
}

std::vector<Turn> overlapped_schedule(const PipelineShape& shape, std::int64_t rank) {
  std::vector<Turn> turns;
  std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t> lanes;  // of a micro-batch in a chunk, from its forward pass on
  for (const std::vector<Action>& pass : passes_with_messages(pipeline_schedule(shape, rank))) {
    const auto [kind, micro_batch, chunk, unused] = *std::ranges::find_if(pass, is_pass);
    const bool forward = kind == ActionKind::kForward, joins = forward && !turns.empty() && turns.back().forward.empty();
    if (!joins) turns.emplace_back();
    Turn& turn = turns.back();
    if (forward) lanes[{micro_batch, chunk}] = joins ? 1 - turn.backward.front().lane : 0;
    std::vector<Action>& place = forward ? turn.forward : turn.backward;
    place = pass;
    for (Action& action : place) action.lane = lanes.at({micro_batch, chunk});
  }
  return turns;
}

std::int64_t peer_of(const PipelineShape& shape, std::int64_t rank, ActionKind kind) {
  check(shape, rank);
  SLUICE_CHECK(!is_pass({kind}), "a pass has no peer");
  const bool later = kind == ActionKind::kSendForward || kind == ActionKind::kReceiveBackward;
  return (rank + (later ? 1 : shape.stages - 1)) % shape.stages;
}

std::int64_t idle_slots(const PipelineShape& shape) {
  std::vector<std::vector<Action>> passes;
  for (std::int64_t rank = 0; rank < shape.stages; ++rank) passes.push_back(passes_of(shape, rank));
  Clock clock(shape);
  std::vector<std::size_t> done(passes.size(), 0);
  for (bool moved = true; moved;) {
    moved = false;
    for (std::size_t rank = 0; rank < passes.size(); ++rank) {
      while (done[rank] < passes[rank].size() && clock.run(static_cast<std::int64_t>(rank), passes[rank][done[rank]])) {
        ++done[rank];
        moved = true;
      }
    }
  }
  return clock.last() - 3 * shape.micro_batches * shape.chunks;
}

}  // namespace sluice::parallel
