#include "sluice/parallel/apply.h"

namespace sluice::parallel {

Pass forward(const models::Model& model, const at::Tensor& ids, const nn::ForwardContext& context, Recompute recompute) {
  Pass pass;
  at::Tensor hidden = model.embed(ids, context);
  for (const auto& block : model.blocks()) {
    // A block whose input needs no gradient (frozen embeddings) would get none back either: it runs as it is.
    const bool again = recompute == Recompute::kFull && hidden.requires_grad();
    models::BlockOutput out = again ? recomputed(*block, hidden, context) : block->forward(hidden, context);
    hidden = std::move(out.hidden);
    if (out.router) pass.routers.push_back(std::move(*out.router));
  }
  pass.hidden = model.final_norm(hidden);
  return pass;
}

}  // namespace sluice::parallel
