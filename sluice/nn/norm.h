// Root mean square norm (Zhang and Sennrich, arXiv:1910.07467).
#pragma once
#include <ATen/core/Tensor.h>

#include "sluice/nn/parameter.h"

namespace sluice::nn {

// x * rsqrt(mean(x^2) + eps) * weight, computed in float32, cast last.
//   x        [tokens, hidden], float32
//   weight   [hidden], float32
//   returns  [tokens, hidden] in `out`
at::Tensor rms_norm(const at::Tensor& x, const Parameter& weight, double eps, at::ScalarType out);

}  // namespace sluice::nn
