#include "sluice/nn/router.h"

#include <cmath>

namespace sluice::nn {

at::Tensor router_logits(const at::Tensor& hidden, const Parameter& gate) { return at::linear(hidden.to(at::kFloat), gate.value); }

Routing route_softmax_top_k_normalised(const at::Tensor& logits, std::int64_t top_k) {
  const auto [probability, experts] = at::topk(at::softmax(logits, -1), top_k, -1);
  return {logits, probability / probability.sum(-1, /*keepdim=*/true), experts};
}

void drop_beyond_capacity(Routing& routing, const at::Tensor& real, std::int64_t num_experts, double factor) {
  at::Tensor dropped;
  {
    const at::NoGradGuard no_grad;
    const std::int64_t slots = routing.experts.numel(), top_k = routing.experts.size(1);
    const double real_slots = real.defined() ? real.sum(at::kDouble).item<double>() * static_cast<double>(top_k) : static_cast<double>(slots);
    const auto capacity = static_cast<std::int64_t>(std::ceil(factor * real_slots / static_cast<double>(num_experts)));
    // Padding goes to an expert of its own past the last, where nothing has a place.
    const at::Tensor chosen = real.defined() ? routing.experts.masked_fill((real == 0).unsqueeze(1), num_experts) : routing.experts;
    // Sort by falling weight, then stably by expert: within an expert the most probable come first, and a row's rank is its index minus
    // the expert's first index.
    const at::Tensor by_weight = at::argsort(routing.weights.detach().reshape({-1}), /*stable=*/true, 0, /*descending=*/true);
    const at::Tensor expert = chosen.reshape({-1}).index_select(0, by_weight);
    const at::Tensor order = at::argsort(expert, /*stable=*/true, 0, /*descending=*/false);
    const at::Tensor sorted = expert.index_select(0, order), slot = by_weight.index_select(0, order);
    const at::Tensor first = at::searchsorted(sorted, at::arange(num_experts + 1, sorted.options()));
    const at::Tensor rank = at::arange(slots, sorted.options()) - first.index_select(0, sorted);
    const at::Tensor no_place = at::logical_or(rank >= capacity, sorted == num_experts);
    dropped = at::zeros({slots}, at::kBool).index_put({slot}, no_place).view_as(routing.experts);
    routing.experts = routing.experts.masked_fill(dropped, -1);
  }
  routing.weights = routing.weights.masked_fill(dropped, 0.0);
}

}  // namespace sluice::nn
