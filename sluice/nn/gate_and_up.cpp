#include "sluice/nn/gate_and_up.h"

#include <ATen/ATen.h>

namespace sluice::nn {
namespace {

constexpr double kAlpha = 1.702, kLimit = 7;  // of the clamped form

}  // namespace

GateAndUp::GateAndUp(const at::Tensor& both, ExpertActivation a) : activation(a) {
  const at::Tensor wide = both.to(at::kFloat);
  const bool alternate = a == ExpertActivation::kClampedSwiglu;
  const std::int64_t ffn = wide.size(1) / 2;
  gate = alternate ? wide.slice(1, 0, std::nullopt, 2) : wide.narrow(1, 0, ffn);
  up = alternate ? wide.slice(1, 1, std::nullopt, 2) : wide.narrow(1, ffn, ffn);
}

at::Tensor GateAndUp::inner() const {
  if (activation == ExpertActivation::kSwiglu) return at::silu(gate) * up;
  const at::Tensor g = gate.clamp_max(kLimit);
  return (up.clamp(-kLimit, kLimit) + 1) * g * at::sigmoid(kAlpha * g);
}

at::Tensor GateAndUp::gradient(const at::Tensor& d_inner) const {
  if (activation == ExpertActivation::kSwiglu) {
    const at::Tensor sigmoid = at::sigmoid(gate), silu = gate * sigmoid;
    return at::cat({d_inner * up * sigmoid * (1 + gate * (1 - sigmoid)), d_inner * silu}, 1);
  }
  const at::Tensor g = gate.clamp_max(kLimit), sigmoid = at::sigmoid(kAlpha * g);
  const at::Tensor d_gate = d_inner * (up.clamp(-kLimit, kLimit) + 1) * sigmoid * (1 + kAlpha * g * (1 - sigmoid)) * (gate <= kLimit);
  const at::Tensor d_up = d_inner * g * sigmoid * at::logical_and(up >= -kLimit, up <= kLimit);
  return at::stack({d_gate, d_up}, 2).flatten(1);
}

}  // namespace sluice::nn
