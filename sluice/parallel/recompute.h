// What blocks keep of a forward pass for the backward pass: everything, or what it takes to compute the rest again (Chen et al., arXiv:1604.06174;
// selectively: Korthikanti et al., arXiv:2205.05198).
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "sluice/dist/group.h"
#include "sluice/models/model.h"
#include "sluice/nn/recompute.h"

namespace sluice::parallel {

enum class Recompute { kNone, kSelective, kFull };
constexpr std::array<std::string_view, 3> names(Recompute) { return {"none", "selective", "full"}; }

struct Activations {
  Activations(Recompute kind = Recompute::kNone) : recompute(kind) {}

  Recompute recompute;
  std::vector<nn::Module> modules;          // kSelective: these
  std::optional<std::int64_t> layers;       // the first so many blocks of a range; all
  const dist::Group* shared_by = nullptr;   // kFull: these ranks, which have equal blocks' inputs, keep a part each; null = each keeps all
  nn::Keeper* keeper = nullptr;             // where what is kept lies; null = in memory
};

// block.forward(hidden, context), with the same values and gradients to the last bit whatever is kept. `index`: of the block in its range. `block`
// and what `context` and `activations` refer to outlive the backward pass.
models::BlockOutput forward_block(const models::Block& block, const at::Tensor& hidden, const nn::ForwardContext& context, const Activations& activations, std::int64_t index);

}  // namespace sluice::parallel
