// Which experts a token goes to.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

#include "sluice/nn/parameter.h"

namespace sluice::nn {

// The choice for each token. Rows of `experts` are in falling order of probability.
struct Routing {
  at::Tensor logits;   // [tokens, experts], float32, with gradient
  at::Tensor weights;  // [tokens, top_k], float32, with gradient
  at::Tensor experts;  // [tokens, top_k], int64; -1 = dropped for lack of capacity
};

// What a mixture layer decided, for the router losses and the metrics.
struct RouterRecord {
  at::Tensor logits;   // [tokens, experts], float32, with gradient
  at::Tensor chosen;   // [tokens, top_k], int64: the router's choice
  at::Tensor served;   // the same after dropping for lack of capacity, -1 = dropped; the same tensor where none is dropped
};

// logits = hidden gate^T in float32.   hidden [tokens, hidden], gate [experts, hidden] float32
at::Tensor router_logits(const at::Tensor& hidden, const Parameter& gate);

// softmax over all experts, top-k, weights divided by their sum (Mixtral, arXiv:2401.04088, eq. 2, in another order of operations).
Routing route_softmax_top_k_normalised(const at::Tensor& logits, std::int64_t top_k);

// Drops what an expert gets beyond ceil(factor * tokens * top_k / experts), the assignments of least probability first
// (Megatron's moe_token_drop_policy probs); a dropped assignment has expert -1 and weight 0. Padding is not counted and takes no place:
// all of its assignments are dropped.
//   real  [tokens], float32, 1 = real, 0 = padding; undefined when all are real
void drop_beyond_capacity(Routing& routing, const at::Tensor& real, std::int64_t num_experts, double factor);

}  // namespace sluice::nn
