// Runs a model's blocks under a layout: what the parallel files do to them, and in which order.
#pragma once
#include <vector>

#include "sluice/models/model.h"
#include "sluice/parallel/layout.h"
#include "sluice/parallel/recompute.h"

namespace sluice::parallel {

struct MemoryConfig {
  Recompute recompute = Recompute::kNone;
  void fields(auto&& field) { field("recompute", recompute, "Activations to compute again in the backward pass: none, or full (each layer keeps its input alone)."); }
};

// Blocks begin .. end - 1. Adds the routers of mixture layers to `routers`.
at::Tensor run_blocks(const models::Model& model, const LayerRange& range, at::Tensor hidden, const nn::ForwardContext& context, Recompute recompute,
                      std::vector<nn::RouterRecord>& routers);

struct Pass {
  at::Tensor hidden;                          // [tokens, hidden], after the final norm, ready for the head
  std::vector<nn::RouterRecord> routers;  // one a mixture layer
};

// The whole model forward. ids [rows * seq], int64. Where its blocks lie on several ranks, each of them gets the pass.
Pass forward(const models::Model& model, const at::Tensor& ids, const nn::ForwardContext& context, Recompute recompute);

}  // namespace sluice::parallel
