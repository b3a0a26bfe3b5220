#include "sluice/models/mixture.h"

namespace sluice::models {

MixtureOutput run_experts(const at::Tensor& hidden, nn::Routing routing, const nn::Experts& experts, nn::Scoring scoring, const nn::ForwardContext& context) {
  const at::Tensor chosen = routing.experts;
  if (context.expert_capacity_factor > 0) nn::drop_beyond_capacity(routing, context.shape.real, experts.num_experts(), context.expert_capacity_factor);
  return {context.seams.dispatcher.forward(hidden, routing, experts), {routing.logits, chosen, routing.experts, scoring}};
}

}  // namespace sluice::models
