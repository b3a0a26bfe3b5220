// What a run takes of this machine's memory and disk, and whether there is enough: known before anything is loaded.
#pragma once
#include <cstdint>
#include <string>

#include "sluice/base/file.h"
#include "sluice/train/recipe.h"

namespace sluice::train {

// Bytes, exact up to alignment.
struct Footprint {
  std::uint64_t parameters = 0, trained = 0;  // elements
  // Parameters, gradients and optimizer of the rank that has the most of them in memory (rank_memory.h). Activations come on top.
  std::uint64_t training_bytes = 0;
  std::uint64_t offload_bytes = 0;  // in the files of memory.offload_dir, of all ranks, activations left out
  std::uint64_t checkpoint_bytes = 0;  // one step folder's tensors
  std::uint64_t export_bytes = 0;      // OUTPUT_DIR/hf; 0 without checkpoint.export_hf
};
Footprint footprint(const ResolvedRecipe& resolved);

// What a program may use here: the machine's memory, or the limit of the control group that it runs in, where that is less.
std::uint64_t memory_bytes();

// Adds a model that does not fit into memory_bytes() even if all of it is frozen; whether it does. For before its tensors are listed.
enum class Copies { kFit, kAreTooLarge };
Copies check_copies(const ResolvedRecipe& resolved, Violations& violations);

// Adds a model that does not fit into memory_bytes(), and a memory.offload_dir that is no folder on a disk or has too little room.
void check_memory(const Footprint& footprint, const Recipe& recipe, Violations& violations);

// Most checkpoints that lie in the run folder at once when a run goes from step `done` to `total_steps`: those that checkpoint.keep
// leaves, the best, and the one being written before an older one goes.
std::int64_t checkpoints_at_once(const Recipe& recipe, std::int64_t done, std::int64_t total_steps);

struct DiskNeed {
  std::int64_t checkpoints = 0;       // to be written beside those that are there
  std::uint64_t bytes = 0;            // of these, of the export, and a margin
  std::uint64_t available_bytes = 0;  // free, and what --overwrite removes
};
enum class OldCheckpoints { kStay, kAreReplaced };
DiskNeed disk_need(const Footprint& footprint, const Recipe& recipe, OldCheckpoints old, std::int64_t done, std::int64_t total_steps);

// Adds a disk that is too small.
void check_disk(const DiskNeed& need, const Footprint& footprint, const Recipe& recipe, Violations& violations);

}  // namespace sluice::train
