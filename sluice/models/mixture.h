// What every mixture layer does with its tokens: routing, capacity, dispatch, and the record for losses and metrics.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>

#include "sluice/nn/experts.h"
#include "sluice/nn/forward.h"
#include "sluice/nn/router.h"

namespace sluice::models {

struct MixtureOutput {
  at::Tensor hidden;  // [tokens, hidden], float32: the weighted sum of each token's experts
  nn::RouterRecord router;  // of this rank's own tokens in training, of all tokens in inference
};

// The router: hidden [tokens, hidden] -> the choice for each token. Where the layer is recomputed it is called in the backward pass too: it refers to
// nothing but the block, and so does a shared expert.
using Route = std::function<nn::Routing(const at::Tensor& hidden)>;

//   hidden         [tokens, hidden], in the experts' precision, before any tensor region
//   shared_expert  what every token meets beside its own experts, inside the tensor region; may be empty. It is added to these, and computed while
//                  tokens travel to experts on other ranks
using SharedExpert = std::function<at::Tensor(const at::Tensor& hidden)>;
MixtureOutput run_experts(const at::Tensor& hidden, const Route& route, const nn::Experts& experts, nn::Scoring scoring, const nn::ForwardContext& context,
                          const SharedExpert& shared_expert = {});

}  // namespace sluice::models
