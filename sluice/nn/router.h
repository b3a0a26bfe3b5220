// Which experts a token goes to.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

#include "sluice/nn/parameter.h"

namespace sluice::nn {

// The choice for each token.
struct Routing {
  at::Tensor logits;   // [tokens, experts], float32, with gradient
  at::Tensor weights;  // [tokens, top_k], float32, with gradient
  at::Tensor experts;  // [tokens, top_k], int64; -1 = dropped for lack of capacity
  at::Tensor tokens = {};  // [tokens], int64, as nn::Dropout has them, of tokens that have travelled while inputs of adapters are left out; else undefined
};

// How logits become scores: softmax over the experts, or a sigmoid each (DeepSeek-V3).
enum class Scoring { kSoftmax, kSigmoid };

// What a mixture layer decided, for the router losses and the metrics.
struct RouterRecord {
  at::Tensor logits;   // [tokens, experts], float32, with gradient
  at::Tensor chosen;   // [tokens, top_k], int64: the router's choice
  at::Tensor served;   // the same after dropping for lack of capacity, -1 = dropped; the same tensor where none is dropped
  Scoring scoring = Scoring::kSoftmax;
};

// The router's distribution over experts, as a logarithm: log softmax, or the sigmoid scores divided by their sum (Megatron-Core's
// convention for losses on sigmoid routers).   logits [..., experts]
at::Tensor router_log_probability(const at::Tensor& logits, Scoring scoring);

// logits = hidden gate^T + bias in float32.   hidden [tokens, hidden], gate [experts, hidden], bias [experts] or null; both float32
at::Tensor router_logits(const at::Tensor& hidden, const Parameter& gate, const Parameter* bias = nullptr);

// Whether the weights of the chosen experts are divided by their sum.
enum class TopKWeights { kAsTheyAre, kNormalised };

// softmax over all experts, then the top k (Mixtral, arXiv:2401.04088, eq. 2, where they are normalised; Qwen-MoE either way).
Routing route_softmax_top_k(const at::Tensor& logits, std::int64_t top_k, TopKWeights weights);

// Top k of the logits, then softmax over these (gpt-oss).
Routing route_top_k_softmax(const at::Tensor& logits, std::int64_t top_k);

// Experts stand in groups of equal size, and a token may use those of `topk_group` groups alone.
struct ExpertGroups {
  std::int64_t num_groups = 1, topk_group = 1;
};

// DeepSeek-V2 (arXiv:2405.04434, section 2.2.1): softmax; a group's score is its largest probability. weights = probability * scale.
Routing route_softmax_in_groups(const at::Tensor& logits, std::int64_t top_k, const ExpertGroups& groups, double scale);

// DeepSeek-V3 (arXiv:2412.19437, section 2.1.2): sigmoid scores s; s + correction_bias selects, a group's score being the sum of its two
// largest; weights are s of the chosen, normalised or not, times scale.   correction_bias [experts], float32, no gradient
Routing route_sigmoid_in_groups(const at::Tensor& logits, const Parameter& correction_bias, std::int64_t top_k, const ExpertGroups& groups,
                                TopKWeights weights, double scale);

// Drops what an expert gets beyond ceil(factor * tokens * top_k / experts), the assignments of least weight first
// (Megatron's moe_token_drop_policy probs); a dropped assignment has expert -1 and weight 0. Padding is not counted and takes no place:
// all of its assignments are dropped.
//   real  [tokens], float32, 1 = real, 0 = padding; undefined when all are real
void drop_beyond_capacity(Routing& routing, const at::Tensor& real, std::int64_t num_experts, double factor);

}  // namespace sluice::nn
