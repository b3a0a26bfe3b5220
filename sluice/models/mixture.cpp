#include "sluice/models/mixture.h"

#include "sluice/nn/recompute.h"

namespace sluice::models {
namespace {

MixtureOutput computed(const at::Tensor& hidden, const Route& route, const nn::Experts& experts, nn::Scoring scoring, const nn::ForwardContext& context,
                       const SharedExpert& shared_expert) {
  const nn::TensorRegion& region = context.seams.tensor;
  const at::Tensor own = region.own_tokens(hidden);
  nn::Routing routing = route(own);
  const at::Tensor chosen = routing.experts;
  if (context.expert_capacity_factor > 0) {
    const at::Tensor& real = context.shape.real;
    context.seams.dispatcher.drop_beyond_capacity(routing, real.defined() ? region.share(real) : real, context.expert_capacity_factor);
  }
  const auto all = [&](const at::Tensor& x) { return context.mode == nn::Mode::kTraining ? x : region.all_tokens(x, hidden.size(0)); };
  at::Tensor shared;
  std::function<void()> meanwhile;
  if (shared_expert) meanwhile = [&] { shared = region.leave(shared_expert(region.enter(hidden))); };
  const at::Tensor routed = region.all_tokens(context.seams.dispatcher.forward(own, routing, experts, meanwhile), hidden.size(0));
  return {shared.defined() ? routed + shared : routed, {all(routing.logits), all(chosen), all(routing.experts), scoring}};
}

}  // namespace

MixtureOutput run_experts(const at::Tensor& hidden, const Route& route, const nn::Experts& experts, nn::Scoring scoring, const nn::ForwardContext& context,
                          const SharedExpert& shared_expert) {
  const at::Tensor own = nn::for_module(hidden);
  if (!nn::recomputes(nn::Module::kMoe)) return computed(own, route, experts, scoring, context, shared_expert);
  const nn::Tensors out = nn::recomputed({own}, [route, &experts, scoring, context, shared_expert](const nn::Tensors& in) {
    const MixtureOutput found = computed(in[0], route, experts, scoring, context, shared_expert);
    return nn::Tensors{found.hidden, found.router.logits, found.router.chosen, found.router.served};
  });
  return {out[0], {out[1], out[2], out[3], scoring}};
}

}  // namespace sluice::models
