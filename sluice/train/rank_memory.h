// What a rank of a run has in memory, in theory: from the recipe alone, before anything is loaded. docs/memory.md has the formulas.
#pragma once
#include <cstdint>
#include <string>

#include "sluice/train/recipe.h"

namespace sluice::train {

// Bytes; what memory.offload has on a disk counts as well.
struct RankMemory {
  // Of each trained parameter the float32 master, its gradient and two moments, and a copy in the computing precision where that is not float32,
  // each divided by the ranks that share it out (parallelism.zero_stage); of each frozen one the copy alone. Exact up to alignment.
  std::uint64_t parameters = 0, gradients = 0, optimizer = 0;
  // What blocks keep from the forward to the backward pass of all micro-batches that are between the two, and for full recomputation one block's
  // insides. A sum over the matrices that a layer has: good to a fifth or so. What a pass needs only while it runs comes on top.
  std::uint64_t activations = 0;

  std::uint64_t total() const { return parameters + gradients + optimizer + activations; }
};

// `tokens_per_row`: of the longest row.
RankMemory rank_memory(const ResolvedRecipe& resolved, std::int64_t rank, std::int64_t tokens_per_row);

// The same without what memory.offload has on a disk, of which a layer or so is in memory at a time.
RankMemory in_memory(const RankMemory& memory, const parallel::MemoryConfig& config);

// "parameters 1.2 GB, gradients 1.2 GB, optimizer 2.4 GB, activations about 0.3 GB"
std::string describe(const RankMemory& memory);

}  // namespace sluice::train
