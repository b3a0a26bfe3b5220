// The activations of plain feed-forward layers, by HF's names.
#pragma once
#include <array>
#include <string_view>

#include "sluice/nn/mlp.h"

namespace sluice::models {

// swish is silu, gelu_python gelu; gelu_new, gelu_fast, gelu_accurate, gelu_pytorch_tanh and gelu_python_tanh are one function written in
// five ways. A config keeps the name that it came with.
enum class HfActivation {
  kSilu,
  kSwish,
  kGelu,
  kGeluPython,
  kGeluNew,
  kGeluFast,
  kGeluAccurate,
  kGeluPytorchTanh,
  kGeluPythonTanh,
  kQuickGelu,
  kRelu,
  kReluSquared
};
constexpr std::array<std::string_view, 12> names(HfActivation) {
  return {"silu",       "swish", "gelu", "gelu_python", "gelu_new", "gelu_fast", "gelu_accurate", "gelu_pytorch_tanh", "gelu_python_tanh",
          "quick_gelu", "relu",  "relu2"};
}
inline constexpr const char* kActivationHelp =
    "Activation of the feed-forward layers: silu, gelu, gelu_new, gelu_pytorch_tanh, quick_gelu, relu or relu2.";

constexpr nn::Activation computed(HfActivation activation) {
  switch (activation) {
    case HfActivation::kSilu:
    case HfActivation::kSwish:
      return nn::Activation::kSilu;
    case HfActivation::kGelu:
    case HfActivation::kGeluPython:
      return nn::Activation::kGelu;
    case HfActivation::kQuickGelu:
      return nn::Activation::kQuickGelu;
    case HfActivation::kRelu:
      return nn::Activation::kRelu;
    case HfActivation::kReluSquared:
      return nn::Activation::kReluSquared;
    default:
      return nn::Activation::kGeluTanh;
  }
}

}  // namespace sluice::models
