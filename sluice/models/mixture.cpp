#include "sluice/models/mixture.h"

namespace sluice::models {

MixtureOutput run_experts(const at::Tensor& hidden, const Route& route, const nn::Experts& experts, nn::Scoring scoring, const nn::ForwardContext& context) {
  const nn::TensorRegion& region = context.seams.tensor;
  const at::Tensor own = region.own_tokens(hidden);
  nn::Routing routing = route(own);
  const at::Tensor chosen = routing.experts;
  if (context.expert_capacity_factor > 0) {
    const at::Tensor& real = context.shape.real;
    context.seams.dispatcher.drop_beyond_capacity(routing, real.defined() ? region.share(real) : real, context.expert_capacity_factor);
  }
  const auto all = [&](const at::Tensor& x) { return context.mode == nn::Mode::kTraining ? x : region.all_tokens(x, hidden.size(0)); };
  return {region.all_tokens(context.seams.dispatcher.forward(own, routing, experts), hidden.size(0)),
          {all(routing.logits), all(chosen), all(routing.experts), scoring}};
}

}  // namespace sluice::models
