// The feed-forward experts of a mixture layer, computed for the tokens that chose them.
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

// What stands between an expert's two products.
//   kSwiglu         silu(gate) * up; the gate's ffn rows stand before the up rows
//   kClampedSwiglu  with gate at most 7 and up within [-7, 7]: (up + 1) * gate * sigmoid(1.702 gate); gate and up rows alternate (gpt-oss)
enum class ExpertActivation { kSwiglu, kClampedSwiglu };

struct ExpertWeights {
  const Parameter& gate_up;                 // [experts, 2 * ffn, hidden]
  const Parameter& down;                    // [experts, hidden, ffn]
  const Parameter* gate_up_bias = nullptr;  // [experts, 2 * ffn], float32
  const Parameter* down_bias = nullptr;     // [experts, hidden], float32
};

class Experts {
 public:
  explicit Experts(const ExpertWeights& weights, ExpertActivation activation = ExpertActivation::kSwiglu) : weights_(weights), activation_(activation) {}

  //   hidden   [tokens, hidden], in the weights' precision
  //   returns  [tokens, hidden], float32: sum over the chosen experts of weight * expert(hidden)
  at::Tensor forward(const at::Tensor& hidden, const Routing& routing) const;

  // As nn::dropout_tokens, of the adapters of either weight.
  at::Tensor dropout_tokens(std::int64_t count) const;

  std::int64_t num_experts() const { return weights_.gate_up.spec.shape[0]; }

 private:
  ExpertWeights weights_;
  ExpertActivation activation_;
};

}  // namespace sluice::nn
