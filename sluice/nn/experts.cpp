#include "sluice/nn/experts.h"

#include "sluice/kernels/cpu/experts.h"
#include "sluice/nn/adapted_experts.h"
#include "sluice/nn/gate_and_up.h"
#include "sluice/nn/lora.h"
#include "sluice/nn/raw.h"

namespace sluice::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// One expert after another with ATen: the oracle of the kernels, and the path of every other precision, device and activation.
struct ByExpert {
  const ExpertOrder& order;
  const ExpertWeights& weights;
  ExpertActivation activation;

  at::Tensor gate_up(std::int64_t expert) const { return weights.gate_up.value.detach()[expert]; }
  at::Tensor down(std::int64_t expert) const { return weights.down.value.detach()[expert]; }
  at::Tensor rows(const at::Tensor& tensor, std::int64_t expert) const {
    const auto e = static_cast<std::size_t>(expert);
    return tensor.narrow(0, order.offsets[e], order.offsets[e + 1] - order.offsets[e]);
  }
  bool empty(std::int64_t expert) const {
    const auto e = static_cast<std::size_t>(expert);
    return order.offsets[e] == order.offsets[e + 1];
  }
  std::int64_t num_experts() const { return static_cast<std::int64_t>(order.offsets.size()) - 1; }

  static at::Tensor product(const at::Tensor& x, const at::Tensor& w) { return few_rows(x) ? few_rows_product(x, w, x.scalar_type()) : at::mm(x, w.t()); }

  // Fills gate_up_rows [slots, 2 * ffn]; returns [tokens, hidden] float32.
  at::Tensor forward(const at::Tensor& hidden, const at::Tensor& row_weight, at::Tensor& gate_up_rows) const {
    at::Tensor out = at::zeros(hidden.sizes(), hidden.options().dtype(at::kFloat));
    for (std::int64_t e = 0; e < num_experts(); ++e) {
      if (empty(e)) continue;
      const at::Tensor token = rows(order.token, e);
      at::Tensor both = rows(gate_up_rows, e);
      both.copy_(product(hidden.index_select(0, token), gate_up(e)));
      if (weights.gate_up_bias) both.copy_(both.to(at::kFloat) + weights.gate_up_bias->value.detach()[e]);
      at::Tensor y = product(GateAndUp(both, activation).inner().to(hidden.scalar_type()), down(e)).to(at::kFloat);
      if (weights.down_bias) y = y + weights.down_bias->value.detach()[e];
      out.index_add_(0, token, y * rows(row_weight, e).unsqueeze(1));
    }
    return out;
  }

  struct Gradients {
    at::Tensor hidden;      // [tokens, hidden], float32
    at::Tensor row_weight;  // [slots], float32
  };
  // Adds the gradients of weights and biases to their `grad` where that is defined.
  Gradients backward(const at::Tensor& d_out, const at::Tensor& hidden, const at::Tensor& row_weight, const at::Tensor& gate_up_rows) const {
    Gradients result{at::zeros(hidden.sizes(), d_out.options()), at::empty_like(row_weight)};
    const at::ScalarType precision = hidden.scalar_type();
    for (std::int64_t e = 0; e < num_experts(); ++e) {
      if (empty(e)) continue;
      const at::Tensor token = rows(order.token, e), weight = rows(row_weight, e).unsqueeze(1);
      const GateAndUp halves(rows(gate_up_rows, e), activation);
      const at::Tensor value = halves.inner(), dy = d_out.index_select(0, token);
      const at::Tensor d_value_unweighted = at::mm(dy.to(precision), down(e)).to(at::kFloat);
      at::Tensor d_weight = (d_value_unweighted * value).sum(1);
      if (weights.down_bias) d_weight = d_weight + at::mv(dy, weights.down_bias->value.detach()[e]);
      rows(result.row_weight, e).copy_(d_weight);
      const at::Tensor d_both = halves.gradient(d_value_unweighted * weight).to(precision);
      if (weights.down.trainable()) add_weight_gradient((dy * weight).to(precision), value.to(precision), weights.down.grad[e]);
      if (weights.gate_up.trainable()) add_weight_gradient(d_both, hidden.index_select(0, token), weights.gate_up.grad[e]);
      if (weights.down_bias && weights.down_bias->trainable()) weights.down_bias->grad[e].add_((dy * weight).sum(0));
      if (weights.gate_up_bias && weights.gate_up_bias->trainable()) weights.gate_up_bias->grad[e].add_(d_both.sum(0, false, at::kFloat));
      result.hidden.index_add_(0, token, at::mm(d_both, gate_up(e)).to(at::kFloat));
    }
    return result;
  }
};

kernels::cpu::ExpertsShape kernel_shape(const at::Tensor& hidden, const at::Tensor& gate_up, const ExpertOrder& order) {
  return {hidden.size(0), order.position.size(1), order.token.numel(), gate_up.size(0), hidden.size(1), gate_up.size(1) / 2};
}

kernels::cpu::ExpertRows kernel_rows(const ExpertOrder& order, const at::Tensor& row_weight) {
  return {order.token.data_ptr<std::int32_t>(), order.offsets.data(), raw_float(row_weight), order.position.data_ptr<std::int32_t>()};
}

// Keeps the order and the parameters from the forward pass to the backward pass.
struct Saved : torch::CustomClassHolder {
  Saved(ExpertOrder o, const ExpertWeights& w, ExpertActivation a) : order(std::move(o)), weights(w), activation(a) {}
  ExpertOrder order;
  ExpertWeights weights;
  ExpertActivation activation;

  bool use_kernels(const at::Tensor& hidden) const {
    return activation == ExpertActivation::kSwiglu && !weights.gate_up_bias && !weights.down_bias && hidden.size(0) > 0 && use_cpu_kernels(hidden) && !few_rows(hidden);
  }
  ByExpert by_expert() const { return {order, weights, activation}; }
};

struct ExpertsFunction : torch::autograd::Function<ExpertsFunction> {
  // The weights' values are arguments only so that the result needs a gradient where they do.
  static at::Tensor forward(AutogradContext* context, const at::Tensor& hidden, const at::Tensor& weights, const at::Tensor& gate_up, const at::Tensor& down,
                            const c10::intrusive_ptr<Saved>& saved) {
    const ExpertOrder& order = saved->order;
    const at::Tensor row_weight = weights.reshape({-1}).index_select(0, order.slot);
    at::Tensor gate_up_rows = at::empty({order.token.numel(), gate_up.size(1)}, hidden.options()), out;
    if (saved->use_kernels(hidden)) {
      const auto shape = kernel_shape(hidden, gate_up, order);
      const auto rows = kernel_rows(order, row_weight);
      const at::Tensor y = at::empty({shape.slots, shape.hidden}, hidden.options());
      out = at::empty(hidden.sizes(), row_weight.options());
      kernels::cpu::experts_forward(shape, rows, raw_bf16(hidden), raw_bf16(gate_up), raw_bf16(down), raw_bf16(gate_up_rows), raw_bf16(y), workspace());
      kernels::cpu::experts_combine(shape, rows, raw_bf16(y), nullptr, raw_float(out), workspace());
    } else {
      out = saved->by_expert().forward(hidden, row_weight, gate_up_rows);
    }
    context->save_for_backward({hidden, row_weight, gate_up_rows});
    context->saved_data["saved"] = c10::IValue::make_capsule(saved);
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto tensors = context->get_saved_variables();
    const at::Tensor &hidden = tensors[0], &row_weight = tensors[1], &gate_up_rows = tensors[2];
    const auto saved = c10::static_intrusive_pointer_cast<Saved>(context->saved_data["saved"].toCapsule());
    const ExpertOrder& order = saved->order;
    const Parameter &gate_up = saved->weights.gate_up, &down = saved->weights.down;
    const at::Tensor d_out = gradients[0].contiguous();
    ByExpert::Gradients result;
    if (saved->use_kernels(hidden)) {
      result = {at::empty(hidden.sizes(), d_out.options()), at::empty_like(row_weight)};
      kernels::cpu::experts_backward(kernel_shape(hidden, gate_up.value, order), kernel_rows(order, row_weight), raw_float(d_out), raw_bf16(hidden),
                                     raw_bf16(gate_up_rows), raw_bf16(gate_up.value), raw_bf16(down.value),
                                     {raw_float(result.row_weight), raw_float(result.hidden), raw_float(gate_up.grad), raw_float(down.grad)}, workspace());
    } else {
      result = saved->by_expert().backward(d_out, hidden, row_weight, gate_up_rows);
    }
    at::Tensor d_weights = at::zeros({order.position.numel()}, row_weight.options());
    d_weights.index_copy_(0, order.slot, result.row_weight);
    return {result.hidden.to(hidden.scalar_type()), d_weights.view(order.position.sizes()), {}, {}, {}};
  }
};

}  // namespace

ExpertOrder sort_by_expert(const at::Tensor& experts, std::int64_t num_experts) {
  const at::NoGradGuard no_grad;
  const at::Tensor flat = experts.reshape({-1});
  const at::Tensor counts = at::bincount(flat + 1, {}, num_experts + 1).to(at::kCPU);  // counts[0] = dropped
  const std::int64_t dropped = counts[0].item<std::int64_t>();
  ExpertOrder order;
  order.slot = at::argsort(flat, /*stable=*/true, 0, /*descending=*/false).narrow(0, dropped, flat.numel() - dropped).contiguous();
  order.token = at::floor_divide(order.slot, experts.size(1)).to(at::kInt);
  order.position = at::full({flat.numel()}, -1, flat.options().dtype(at::kInt));
  order.position.index_copy_(0, order.slot, at::arange(order.slot.numel(), order.position.options()));
  order.position = order.position.view(experts.sizes());
  order.offsets.assign(static_cast<std::size_t>(num_experts) + 1, 0);
  const auto* count = counts.data_ptr<std::int64_t>();
  for (std::int64_t e = 0; e < num_experts; ++e) order.offsets[static_cast<std::size_t>(e) + 1] = order.offsets[static_cast<std::size_t>(e)] + count[e + 1];
  return order;
}

at::Tensor Experts::forward(const at::Tensor& hidden, const Routing& routing) const {
  const ExpertOrder order = sort_by_expert(routing.experts, num_experts());
  if (!weights_.gate_up.adapters.empty() || !weights_.down.adapters.empty()) {
    Routing numbered = routing;
    if (!numbered.tokens.defined()) numbered.tokens = dropout_tokens(hidden.size(0));
    return adapted_experts(hidden, numbered, order, weights_, activation_);
  }
  const auto saved = c10::make_intrusive<Saved>(order, weights_, activation_);
  return ExpertsFunction::apply(hidden.contiguous(), routing.weights, weights_.gate_up.value, weights_.down.value, saved);
}

at::Tensor Experts::dropout_tokens(std::int64_t count) const {
  const at::Tensor tokens = nn::dropout_tokens(weights_.gate_up, count);
  return tokens.defined() ? tokens : nn::dropout_tokens(weights_.down, count);
}

}  // namespace sluice::nn
