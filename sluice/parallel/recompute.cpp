#include "sluice/parallel/recompute.h"

#include <ATen/ATen.h>

namespace sluice::parallel {
namespace {

// Each rank keeps its part of what all of them have.
class SharedOut final : public nn::Keeper {
 public:
  SharedOut(const dist::Group& group, nn::Keeper* next) : group_(group), next_(next) {}

  nn::Restore keep(const at::Tensor& bytes) override {
    if (bytes.numel() % group_.size() != 0) return next_ ? next_->keep(bytes) : nullptr;
    const std::int64_t part = bytes.numel() / group_.size();
    const at::Tensor own = bytes.narrow(0, group_.rank() * part, part).clone();
    nn::Restore restore_own = next_ ? next_->keep(own) : nullptr;
    if (!restore_own) restore_own = [own] { return own; };
    return [&group = group_, restore_own] {
      const at::Tensor mine = restore_own(), all = at::empty({mine.numel() * group.size()}, mine.options());
      group.start_all_gather(all, mine)->wait();
      return all;
    };
  }

 private:
  const dist::Group& group_;
  nn::Keeper* next_;
};

models::BlockOutput recomputed(const models::Block& block, const at::Tensor& hidden, const nn::ForwardContext& context) {
  const auto scoring = std::make_shared<nn::Scoring>();  // the rest of a router's record is tensors
  const nn::Tensors out = nn::recomputed({hidden}, [&block, context, scoring](const nn::Tensors& in) -> nn::Tensors {
    const models::BlockOutput found = block.forward(in[0], context);
    if (!found.router) return {found.hidden};
    *scoring = found.router->scoring;
    return {found.hidden, found.router->logits, found.router->chosen, found.router->served};
  });
  if (out.size() == 1) return {out[0], std::nullopt};
  return {out[0], nn::RouterRecord{out[1], out[2], out[3], *scoring}};
}

}  // namespace

models::BlockOutput forward_block(const models::Block& block, const at::Tensor& hidden, const nn::ForwardContext& context, const Activations& activations, std::int64_t index) {
  const bool chosen = activations.recompute != Recompute::kNone && (!activations.layers || index < *activations.layers);
  if (!at::GradMode::is_enabled() || (!chosen && !activations.keeper)) return block.forward(hidden, context);
  if (activations.recompute == Recompute::kFull && chosen) {
    if (!hidden.requires_grad()) return block.forward(hidden, context);  // whose input needs no gradient would get none back either (frozen embeddings)
    std::optional<SharedOut> shared;
    if (activations.shared_by) shared.emplace(*activations.shared_by, activations.keeper);
    const nn::Recomputing scope({}, shared ? &*shared : activations.keeper);
    return recomputed(block, hidden, context);
  }
  const nn::Recomputing scope(chosen ? activations.modules : std::vector<nn::Module>(), activations.keeper);
  return block.forward(hidden, context);
}

}  // namespace sluice::parallel
