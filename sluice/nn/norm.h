// Norms over the last dimension: root mean square (Zhang and Sennrich, arXiv:1910.07467) and layer norm (Ba et al., arXiv:1607.06450).
// x is [..., width] in any precision; all are computed in float32 and cast last.
#pragma once
#include <ATen/core/Tensor.h>

#include "sluice/nn/parameter.h"

namespace sluice::nn {

// x * rsqrt(mean(x^2) + eps) * weight.   weight [width], float32; returns x's shape in `out`
at::Tensor rms_norm(const at::Tensor& x, const Parameter& weight, double eps, at::ScalarType out);

// The same with 1 + weight: checkpoints whose norm weights are stored around zero (Gemma, Qwen3-Next).
at::Tensor zero_centred_rms_norm(const at::Tensor& x, const Parameter& weight, double eps, at::ScalarType out);

// (x - mean) / sqrt(variance + eps) * weight + bias.
at::Tensor layer_norm(const at::Tensor& x, const Parameter& weight, const Parameter& bias, double eps, at::ScalarType out);

}  // namespace sluice::nn
