#include "sluice/nn/router.h"

#include <cmath>
#include <limits>

#include "sluice/nn/lora.h"

namespace sluice::nn {

namespace {

// [tokens, experts] -> [tokens, groups, experts of a group]
at::Tensor by_group(const at::Tensor& scores, const ExpertGroups& groups) { return scores.view({scores.size(0), groups.num_groups, -1}); }

// scores [tokens, experts] with `nothing` for every expert outside the topk_group best groups, by group_score [tokens, groups].
at::Tensor only_best_groups(const at::Tensor& scores, const at::Tensor& group_score, const ExpertGroups& groups, double nothing) {
  const at::Tensor best = std::get<1>(at::topk(group_score, groups.topk_group, -1, /*largest=*/true, /*sorted=*/false));
  const at::Tensor outside = at::ones(group_score.sizes(), at::kBool).scatter_(1, best, false);
  return by_group(scores, groups).masked_fill(outside.unsqueeze(2), nothing).view(scores.sizes());
}

}  // namespace

at::Tensor router_log_probability(const at::Tensor& logits, Scoring scoring) {
  if (scoring == Scoring::kSoftmax) return at::log_softmax(logits, -1);
  const at::Tensor log_score = at::log_sigmoid(logits);
  return log_score - at::logsumexp(log_score, -1, /*keepdim=*/true);
}

at::Tensor router_logits(const at::Tensor& hidden, const Parameter& gate, const Parameter* bias) {
  const at::Tensor logits = at::linear(hidden.to(at::kFloat), gate.value, bias ? std::optional(bias->value) : std::nullopt);
  const at::Tensor change = low_rank_product(hidden, gate);
  return change.defined() ? logits + change : logits;
}

Routing route_softmax_top_k(const at::Tensor& logits, std::int64_t top_k, TopKWeights weights) {
  const auto [probability, experts] = at::topk(at::softmax(logits, -1), top_k, -1);
  return {logits, weights == TopKWeights::kNormalised ? probability / probability.sum(-1, /*keepdim=*/true) : probability, experts};
}

Routing route_top_k_softmax(const at::Tensor& logits, std::int64_t top_k) {
  const auto [largest, experts] = at::topk(logits, top_k, -1);
  return {logits, at::softmax(largest, -1), experts};
}

Routing route_softmax_in_groups(const at::Tensor& logits, std::int64_t top_k, const ExpertGroups& groups, double scale) {
  at::Tensor probability = at::softmax(logits, -1);
  if (groups.topk_group < groups.num_groups) {
    probability = only_best_groups(probability, by_group(probability.detach(), groups).amax(2), groups, 0.0);
  }
  const auto [chosen, experts] = at::topk(probability, top_k, -1);
  return {logits, chosen * scale, experts};
}

Routing route_sigmoid_in_groups(const at::Tensor& logits, const Parameter& correction_bias, std::int64_t top_k, const ExpertGroups& groups,
                                TopKWeights weights, double scale) {
  const at::Tensor score = at::sigmoid(logits);
  at::Tensor biased = score.detach() + correction_bias.value.detach();
  if (groups.topk_group < groups.num_groups) {
    const at::Tensor two_best = std::get<0>(at::topk(by_group(biased, groups), 2, -1));
    biased = only_best_groups(biased, two_best.sum(-1), groups, -std::numeric_limits<double>::infinity());
  }
  const at::Tensor experts = std::get<1>(at::topk(biased, top_k, -1));
  at::Tensor chosen = score.gather(1, experts);
  if (weights == TopKWeights::kNormalised) chosen = chosen / (chosen.sum(-1, /*keepdim=*/true) + 1e-20);
  return {logits, chosen * scale, experts};
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
