// Activation recompute (Chen et al., arXiv:1604.06174): a block keeps its input alone and runs again in the backward pass.
#pragma once
#include <array>
#include <string_view>

#include "sluice/models/model.h"

namespace sluice::parallel {

enum class Recompute { kNone, kFull };
constexpr std::array<std::string_view, 2> names(Recompute) { return {"none", "full"}; }

// As block.forward(hidden, context), with the same values and gradients to the last bit. `block` and what `context` refers to outlive the
// backward pass.
models::BlockOutput recomputed(const models::Block& block, const at::Tensor& hidden, const nn::ForwardContext& context);

}  // namespace sluice::parallel
