// The output head and its cross entropy in one: logits exist for a chunk of rows only, as bf16, and their gradient replaces them in place.
#pragma once
#include <cstdint>

#include "sluice/kernels/cpu/bf16.h"
#include "sluice/kernels/cpu/workspace.h"

namespace sluice::kernels::cpu {

constexpr std::int64_t kIgnoredLabel = -100;

struct HeadLossInput {
  std::int64_t rows = 0, hidden = 0, vocab = 0;
  const Bf16* x = nullptr;               // [rows, hidden]
  const Bf16* w = nullptr;               // [vocab, hidden]
  const std::int64_t* labels = nullptr;  // [rows] kIgnoredLabel: the row has no loss and costs nothing
  float scale = 1;                       // multiplies the gradients (not the losses): 1 / the number of trained tokens, say
  std::int64_t chunk_rows = 1024;        // scratch is chunk_rows * vocab bf16; 512 to 1024 is fastest
};

// What to compute beside the sum; null: not wanted. With no gradient wanted, the call is a loss alone.
struct HeadLossOutput {
  Bf16* dx = nullptr;         // [rows, hidden] written; at most one of dx and dx_float
  float* dx_float = nullptr;  // [rows, hidden] written
  float* dw = nullptr;        // [vocab, hidden] added to
  float* row_loss = nullptr;  // [rows] written; 0 where ignored
};

// The sum of the rows' cross entropies. Error when a label is neither kIgnoredLabel nor in [0, vocab), before anything is written.
double head_loss(const HeadLossInput& input, const HeadLossOutput& output, Workspace& workspace);

}  // namespace sluice::kernels::cpu
