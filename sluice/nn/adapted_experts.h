// Experts whose frozen weights have low-rank adapters.
#pragma once
#include <ATen/core/Tensor.h>

#include "sluice/nn/experts.h"

namespace sluice::nn {

// As Experts::forward, with what the adapters of both weights add; gradients go to the adapters, the input and the routing weights.
//   hidden  [tokens, hidden], in the weights' precision
// Of `routing` its weights, and its tokens where inputs of adapters are left out.
at::Tensor adapted_experts(const at::Tensor& hidden, const Routing& routing, const ExpertOrder& order, const ExpertWeights& weights, ExpertActivation activation);

}  // namespace sluice::nn
