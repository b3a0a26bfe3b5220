// Pipeline schedules: what each rank of a pipeline does, in which order, as plain lists.
#pragma once
#include <cstdint>
#include <vector>

namespace sluice::parallel {

// The model's layers are cut into stages * chunks runs, the virtual stages. Number s lies on rank s % stages, as its chunk s / stages.
struct PipelineShape {
  std::int64_t stages = 1, chunks = 1, micro_batches = 1;  // stages: ranks of the pipeline; chunks: on each rank

  std::int64_t virtual_stages() const { return stages * chunks; }
};

// Forward messages are a chunk's input (received) and output (sent); backward ones the gradients of its output (received) and input (sent).
enum class ActionKind { kReceiveForward, kForward, kSendForward, kReceiveBackward, kBackward, kSendBackward };

struct Action {
  ActionKind kind = ActionKind::kForward;
  std::int64_t micro_batch = 0, chunk = 0, lane = 0;  // lane: see overlapped_schedule()
  bool operator==(const Action&) const = default;
};

// The actions of `rank`, in order: one forward, one backward (PipeDream-Flush, arXiv:2104.04473, section 2.2.1); with several chunks interleaved
// (section 2.2.2), for any number of micro-batches. A receive waits until its message is there, a send does not wait; then no rank waits
// for ever. From one rank to another, messages are received in the order in which they were sent. Each chunk's backward passes come in the
// order of micro-batches. Between chunks of one rank (stages = 1) nothing is sent.
// At most stages - rank micro-batches are between forward and backward, or 2 (stages - rank - 1) + (chunks - 1) stages + 1 counted in
// micro-batches of one chunk.
std::vector<Action> pipeline_schedule(const PipelineShape& shape, std::int64_t rank);

// What a rank does at the same time: a forward and a backward pass of two micro-batches, or one of them. Each with the message that it receives
// before and the one that it sends after.
struct Turn {
  std::vector<Action> forward, backward;  // empty = none
};

// The same actions for a rank that runs two passes at a time: each backward pass together with the forward pass that is the next one after it in
// pipeline_schedule(). Within a turn neither waits for the other, so no pass waits for more than there, and no rank for ever; one pass more at most is
// between forward and backward. Forward messages and backward ones are each received in the order in which they were sent.
// A micro-batch has the same lane, 0 or 1, in its forward and its backward pass through a chunk, and the passes of a turn have different ones. Ranks
// of one stage agree on it.
std::vector<Turn> overlapped_schedule(const PipelineShape& shape, std::int64_t rank);

// The rank that a send goes to, or a receive comes from.
std::int64_t peer_of(const PipelineShape& shape, std::int64_t rank, ActionKind kind);

// The bubble: slots in which a rank waits, from the first forward to the last backward of all ranks. A chunk's forward takes one slot, its
// backward two, messages none; so a slot is shorter with more chunks. The same for every rank. 3 (stages - 1) where the micro-batches
// are a multiple of the stages, the least that there can be; with several chunks more elsewhere (8 stages, 4 chunks: 16 micro-batches 21, 17 60).
std::int64_t idle_slots(const PipelineShape& shape);

}  // namespace sluice::parallel
