#include "sluice/nn/adapted_experts.h"

#include <ATen/ATen.h>

#include "sluice/base/error.h"
#include "sluice/nn/gate_and_up.h"
#include "sluice/nn/lora.h"
#include "sluice/nn/recompute.h"

namespace sluice::nn {
namespace {

// x w^T (+ bias) of one expert with its adapters, in x's precision.   x [rows, in]; tokens [rows], int64, or undefined
at::Tensor product(const at::Tensor& x, const Parameter& weight, const Parameter* bias, std::int64_t expert, const at::Tensor& tokens) {
  at::Tensor y = at::linear(x, weight.value[expert]);
  if (bias) y = (y.to(at::kFloat) + bias->value[expert]).to(x.scalar_type());
  const at::Tensor change = low_rank_product(x, weight, expert, tokens);
  return change.defined() ? (y.to(at::kFloat) + change).to(x.scalar_type()) : y;
}

}  // namespace

at::Tensor adapted_experts(const at::Tensor& hidden, const Routing& routing, const ExpertOrder& order, const ExpertWeights& weights, ExpertActivation activation) {
  SLUICE_CHECK(!weights.gate_up.trainable() && !weights.down.trainable(), "experts with adapters are frozen");
  const at::Tensor rows = hidden.index_select(0, order.token), row_weight = routing.weights.reshape({-1}).index_select(0, order.slot);
  const at::Tensor tokens = routing.tokens.defined() ? routing.tokens.index_select(0, order.token) : at::Tensor();
  std::vector<at::Tensor> outputs;
  for (std::size_t e = 0; e + 1 < order.offsets.size(); ++e) {
    const std::int64_t begin = order.offsets[e], count = order.offsets[e + 1] - begin, expert = static_cast<std::int64_t>(e);
    // Where no expert has any, the last computes none: the result hangs on inputs and adapters on every rank, whose way back is an exchange of all.
    const bool is_last_chance = outputs.empty() && e + 2 == order.offsets.size();
    if (count == 0 && !is_last_chance) continue;
    const at::Tensor here = tokens.defined() ? tokens.narrow(0, begin, count) : tokens;
    const at::Tensor both = product(rows.narrow(0, begin, count), weights.gate_up, weights.gate_up_bias, expert, here);
    const at::Tensor inner =
        forgotten(Module::kMoeActivation, both, [activation](const at::Tensor& in) { return GateAndUp(in, activation).inner().to(in.scalar_type()); });
    outputs.push_back(product(inner, weights.down, weights.down_bias, expert, here).to(at::kFloat));
  }
  const at::Tensor out = at::zeros(hidden.sizes(), hidden.options().dtype(at::kFloat).requires_grad(false));
  return out.index_add(0, order.token, at::cat(outputs, 0) * row_weight.unsqueeze(1));
}

}  // namespace sluice::nn
