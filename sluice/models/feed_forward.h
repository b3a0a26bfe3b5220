// What follows attention in a block of families whose first layers are dense and whose others are mixtures.
#pragma once
#include <ATen/core/Tensor.h>

#include <optional>
#include <string>

#include "sluice/models/model.h"
#include "sluice/nn/mlp.h"

namespace sluice::models {

class FeedForward {
 public:
  virtual ~FeedForward() = default;
  // normed [tokens, hidden], before any tensor region -> [tokens, hidden], float32, and the router's record where there is one
  virtual BlockOutput forward(const at::Tensor& normed, const nn::ForwardContext& context) const = 0;
};

// SwiGLU with the linears of nn::GatedMlp under `at`mlp.
class DenseFeedForward final : public FeedForward {
 public:
  DenseFeedForward(nn::ParameterStore& store, const std::string& at) : mlp_(store, at + "mlp", nn::Activation::kSilu) {}
  BlockOutput forward(const at::Tensor& normed, const nn::ForwardContext& context) const override {
    const nn::TensorRegion& region = context.seams.tensor;
    return {region.leave(mlp_.forward(region.enter(normed)).to(at::kFloat)), std::nullopt};
  }

 private:
  nn::GatedMlp mlp_;
};

}  // namespace sluice::models
