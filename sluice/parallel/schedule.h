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
  std::int64_t micro_batch = 0, chunk = 0;
  bool operator==(const Action&) const = default;
};

// The actions of `rank`, in order: one forward, one backward (PipeDream-Flush, arXiv:2104.04473, section 2.2.1); with several chunks interleaved
// (section 2.2.2), for any number of micro-batches. A receive waits until its message is there, a send does not wait; then no rank waits
// for ever. From one rank to another, messages are received in the order in which they were sent. Each chunk's backward passes come in the
// order of micro-batches. Between chunks of one rank (stages = 1) nothing is sent.
// At most stages - rank micro-batches are between forward and backward, or 2 (stages - rank - 1) + (chunks - 1) stages + 1 counted in
// micro-batches of one chunk.
std::vector<Action> pipeline_schedule(const PipelineShape& shape, std::int64_t rank);

// The rank that a send goes to, or a receive comes from.
std::int64_t peer_of(const PipelineShape& shape, std::int64_t rank, ActionKind kind);

// The bubble: slots in which a rank waits, from the first forward to the last backward of all ranks. A chunk's forward takes one slot, its
// backward two, messages none; so a slot is shorter with more chunks. The same for every rank. 3 (stages - 1) where the micro-batches
// are a multiple of the stages, the least that there can be; with several chunks more elsewhere (8 stages, 4 chunks: 16 micro-batches 21, 17 60).
std::int64_t idle_slots(const PipelineShape& shape);

}  // namespace sluice::parallel
