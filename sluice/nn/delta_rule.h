// The gated delta rule (Yang et al., arXiv:2412.06464): linear attention whose state forgets by a gate and overwrites what a key held before.
// A head's state S [key_dim, value_dim] changes with each token:
//   S <- exp(log_decay) S;   d = beta (v - S^T k);   S <- S + k d^T;   out = S^T q.
// Two forms of the same, both in float32. Documents packed into one row would reset S at their borders: an argument more of both forms.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace sluice::nn {

// float32, all of one number of heads.
struct DeltaRuleInput {
  at::Tensor query, key;  // [rows, heads, seq, key_dim]
  at::Tensor value;       // [rows, heads, seq, value_dim]
  at::Tensor log_decay;   // [rows, heads, seq], at most 0
  at::Tensor beta;        // [rows, heads, seq], how much of a key's old value is replaced
};

struct DeltaRuleOutput {
  at::Tensor out;    // [rows, heads, seq, value_dim]
  at::Tensor state;  // [rows, heads, key_dim, value_dim], after the last token
};

// Token after token, as above: generation.   state  before the first token; undefined = zeros
DeltaRuleOutput delta_rule_by_token(const DeltaRuleInput& in, const at::Tensor& state);

// Products over `chunk` tokens at a time (section 3.3): training and prompts. The last chunk may be shorter. Differentiable.
DeltaRuleOutput delta_rule_by_chunk(const DeltaRuleInput& in, const at::Tensor& state, std::int64_t chunk = 64);

}  // namespace sluice::nn
