// What every mixture layer does once its router has chosen: capacity, dispatch, and the record for losses and metrics.
#pragma once
#include <ATen/core/Tensor.h>

#include "sluice/nn/experts.h"
#include "sluice/nn/forward.h"
#include "sluice/nn/router.h"

namespace sluice::models {

struct MixtureOutput {
  at::Tensor hidden;  // [tokens, hidden], float32: the weighted sum of each token's experts
  nn::RouterRecord router;
};

//   hidden   [tokens, hidden], in the experts' precision
MixtureOutput run_experts(const at::Tensor& hidden, nn::Routing routing, const nn::Experts& experts, nn::Scoring scoring, const nn::ForwardContext& context);

}  // namespace sluice::models
