// Runs a model's blocks under a layout: what the parallel files do to them, and in which order.
#pragma once
#include <vector>

#include "sluice/models/model.h"
#include "sluice/parallel/recompute.h"

namespace sluice::parallel {

struct MemoryConfig {
  Recompute recompute = Recompute::kNone;
  void fields(auto&& field) { field("recompute", recompute, "Activations to compute again in the backward pass: none, or full (each layer keeps its input alone)."); }
};

struct Pass {
  at::Tensor hidden;                          // [tokens, hidden], after the final norm, ready for the head
  std::vector<nn::RouterRecord> routers;  // one a mixture layer
};

// ids [rows * seq], int64.
Pass forward(const models::Model& model, const at::Tensor& ids, const nn::ForwardContext& context, Recompute recompute);

}  // namespace sluice::parallel
