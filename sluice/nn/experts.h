// The feed-forward experts of a mixture layer: down(silu(gate(x)) * up(x)), computed for the tokens that chose them.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "sluice/nn/parameter.h"
#include "sluice/nn/router.h"

namespace sluice::nn {

// Assignments sorted by expert, stable in token order. slots = assignments that were not dropped.
struct ExpertOrder {
  at::Tensor token;                   // [slots], int32: the token of each row
  at::Tensor slot;                    // [slots], int64: index of each row's assignment in weights.view(-1)
  at::Tensor position;                // [tokens, top_k], int32: the row of each assignment; -1 = dropped
  std::vector<std::int64_t> offsets;  // [experts + 1]: expert e owns rows offsets[e] .. offsets[e + 1]
};
ExpertOrder sort_by_expert(const at::Tensor& experts, std::int64_t num_experts);

class Experts {
 public:
  //   gate_up  [experts, 2 * ffn, hidden], gate rows before up rows
  //   down     [experts, hidden, ffn]
  Experts(const Parameter& gate_up, const Parameter& down) : gate_up_(gate_up), down_(down) {}

  //   hidden   [tokens, hidden], in the weights' precision
  //   returns  [tokens, hidden], float32: sum over the chosen experts of weight * expert(hidden)
  at::Tensor forward(const at::Tensor& hidden, const Routing& routing) const;

  std::int64_t num_experts() const { return gate_up_.spec.shape[0]; }

 private:
  const Parameter& gate_up_;
  const Parameter& down_;
};

}  // namespace sluice::nn
