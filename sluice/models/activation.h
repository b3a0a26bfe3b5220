// The activations of plain feed-forward layers, by HF's names.
#pragma once
#include <array>
#include <string_view>

#include "sluice/nn/mlp.h"

namespace sluice::models {

// gelu_new, gelu_fast and gelu_pytorch_tanh are one function written in three ways.
enum class HfActivation { kSilu, kGelu, kGeluNew, kGeluFast, kGeluTanh };
constexpr std::array<std::string_view, 5> names(HfActivation) { return {"silu", "gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh"}; }

constexpr nn::Activation computed(HfActivation activation) {
  if (activation == HfActivation::kSilu) return nn::Activation::kSilu;
  return activation == HfActivation::kGelu ? nn::Activation::kGelu : nn::Activation::kGeluTanh;
}

}  // namespace sluice::models
