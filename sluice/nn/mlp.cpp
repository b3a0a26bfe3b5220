#include "sluice/nn/mlp.h"

#include "sluice/nn/recompute.h"

namespace sluice::nn {

at::Tensor activate(const at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::kSilu: return at::silu(x);
    case Activation::kGelu: return at::gelu(x);
    case Activation::kGeluTanh: break;
    case Activation::kQuickGelu: return x * at::sigmoid(1.702 * x);
    case Activation::kRelu: return at::relu(x);
    case Activation::kReluSquared: return at::relu(x).square();
  }
  return at::gelu(x, "tanh");
}

at::Tensor GatedMlp::forward(const at::Tensor& x) const {
  return recomputed(Module::kMlp, for_module(x), [this](const at::Tensor& in) { return down_.forward(activate(gate_.forward(in), activation_) * up_.forward(in)); });
}

}  // namespace sluice::nn
