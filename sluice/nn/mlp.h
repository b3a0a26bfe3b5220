// The feed-forward part of a dense layer, and of the experts that every token meets.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "sluice/nn/linear.h"

namespace sluice::nn {

// kGelu is x Phi(x); kGeluTanh its tanh form (HF: gelu_new, gelu_pytorch_tanh); kQuickGelu x sigmoid(1.702 x); kReluSquared max(x, 0)^2.
enum class Activation { kSilu, kGelu, kGeluTanh, kQuickGelu, kRelu, kReluSquared };
at::Tensor activate(const at::Tensor& x, Activation activation);

// down(activation(gate(x)) * up(x)), with the linears `name`.gate_proj, .up_proj and .down_proj (Shazeer, arXiv:2002.05202).
class GatedMlp {
 public:
  GatedMlp(ParameterStore& store, const std::string& name, Activation activation)
      : gate_(store, name + ".gate_proj"), up_(store, name + ".up_proj"), down_(store, name + ".down_proj"), activation_(activation) {}
  at::Tensor forward(const at::Tensor& x) const;  // [tokens, hidden] -> the same, in the weights' precision

 private:
  Linear gate_, up_, down_;
  Activation activation_;
};

}  // namespace sluice::nn
