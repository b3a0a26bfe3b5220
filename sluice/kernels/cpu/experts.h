// The experts of a mixture: gather, gate/up product, SwiGLU, routing weight, down product, combine; and their gradients. bf16 with float32
// accumulation. All sizes are allowed; an expert may have no row, or all. The bits do not depend on the number of threads.
#pragma once
#include <cstdint>

#include "sluice/kernels/cpu/bf16.h"
#include "sluice/kernels/cpu/workspace.h"

namespace sluice::kernels::cpu {

struct ExpertsShape {
  std::int64_t tokens = 0, top_k = 0;
  std::int64_t slots = 0;  // rows that experts compute: tokens * top_k less the dropped ones
  std::int64_t experts = 0, hidden = 0, ffn = 0;
};

// Who computes what; the caller owns all four. Rows are sorted by expert.
struct ExpertRows {
  const std::int32_t* row_token = nullptr;       // [slots] the token that a row serves
  const std::int64_t* expert_offsets = nullptr;  // [experts + 1] expert e has rows [offsets[e], offsets[e + 1]); first 0, last `slots`
  const float* row_weight = nullptr;             // [slots] routing weight
  const std::int32_t* position = nullptr;        // [tokens, top_k] the row of a token's slot, -1 where dropped
};

// y = weight * down(silu(gate(hidden)) * up(hidden)), a row each. The weight multiplies the product of silu and up before the down product.
//   hidden [tokens, hidden]   w_gate_up [experts, 2 ffn, hidden], gate rows first   w_down [experts, hidden, ffn]
//   gate_up [slots, 2 ffn] out, kept for experts_backward; null: not wanted   y [slots, hidden] out
void experts_forward(const ExpertsShape& shape, const ExpertRows& rows, const Bf16* hidden, const Bf16* w_gate_up, const Bf16* w_down,
                     Bf16* gate_up, Bf16* y, Workspace& workspace);

// out = residual + the sum of a token's rows, slot after slot; residual null: zero; out may be residual.
//   y [slots, hidden]   residual, out [tokens, hidden]
void experts_combine(const ExpertsShape& shape, const ExpertRows& rows, const Bf16* y, const float* residual, float* out,
                     Workspace& workspace);

// What experts_backward gives; a null pointer is not wanted (frozen) and its work is skipped.
struct ExpertsGradients {
  float* row_weight = nullptr;  // [slots] written
  float* hidden = nullptr;      // [tokens, hidden] written: the sum over a token's rows
  float* w_gate_up = nullptr;   // [experts, 2 ffn, hidden] added to
  float* w_down = nullptr;      // [experts, hidden, ffn] added to
};

// The gradients from dout [tokens, hidden], the gradient of experts_combine's out. Gradient is Bf16 or float (rounded to bf16 first).
template <class Gradient>
void experts_backward(const ExpertsShape& shape, const ExpertRows& rows, const Gradient* dout, const Bf16* hidden, const Bf16* gate_up,
                      const Bf16* w_gate_up, const Bf16* w_down, const ExpertsGradients& gradients, Workspace& workspace);

}  // namespace sluice::kernels::cpu
