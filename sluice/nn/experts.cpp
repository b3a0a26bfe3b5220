#include "sluice/nn/experts.h"

#include "sluice/kernels/cpu/experts.h"
#include "sluice/nn/raw.h"

namespace sluice::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// One expert after another with ATen: the oracle of the kernels, and the path of every other precision and device.
struct ByExpert {
  const ExpertOrder& order;
  at::Tensor gate_up, down;  // values, detached

  at::Tensor rows(const at::Tensor& tensor, std::int64_t expert) const {
    const auto e = static_cast<std::size_t>(expert);
    return tensor.narrow(0, order.offsets[e], order.offsets[e + 1] - order.offsets[e]);
  }
  bool empty(std::int64_t expert) const {
    const auto e = static_cast<std::size_t>(expert);
    return order.offsets[e] == order.offsets[e + 1];
  }

  // Fills gate_up_rows [slots, 2 * ffn]; returns [tokens, hidden] float32.
  at::Tensor forward(const at::Tensor& hidden, const at::Tensor& row_weight, at::Tensor& gate_up_rows) const {
    at::Tensor out = at::zeros(hidden.sizes(), hidden.options().dtype(at::kFloat));
    for (std::int64_t e = 0; e < gate_up.size(0); ++e) {
      if (empty(e)) continue;
      const at::Tensor token = rows(order.token, e);
      at::Tensor both = rows(gate_up_rows, e);
      at::mm_out(both, hidden.index_select(0, token), gate_up[e].t());
      const auto halves = both.chunk(2, 1);
      const at::Tensor y = at::mm(at::silu(halves[0]) * halves[1], down[e].t());
      out.index_add_(0, token, y.to(at::kFloat) * rows(row_weight, e).unsqueeze(1));
    }
    return out;
  }

  struct Gradients {
    at::Tensor hidden;      // [tokens, hidden], float32
    at::Tensor row_weight;  // [slots], float32
  };
  // Adds the weights' gradients to `d_gate_up` and `d_down` where these are defined.
  Gradients backward(const at::Tensor& d_out, const at::Tensor& hidden, const at::Tensor& row_weight, const at::Tensor& gate_up_rows,
                     const at::Tensor& d_gate_up, const at::Tensor& d_down) const {
    Gradients result{at::zeros(hidden.sizes(), d_out.options()), at::empty_like(row_weight)};
    for (std::int64_t e = 0; e < gate_up.size(0); ++e) {
      if (empty(e)) continue;
      const at::Tensor token = rows(order.token, e), weight = rows(row_weight, e).unsqueeze(1);
      const auto halves = rows(gate_up_rows, e).to(at::kFloat).chunk(2, 1);
      const at::Tensor sigmoid = at::sigmoid(halves[0]), silu = halves[0] * sigmoid, inner = silu * halves[1];
      const at::Tensor dy = d_out.index_select(0, token);
      const at::Tensor d_inner_unweighted = at::mm(dy.to(down.scalar_type()), down[e]).to(at::kFloat);
      rows(result.row_weight, e).copy_((d_inner_unweighted * inner).sum(1));
      const at::Tensor d_inner = d_inner_unweighted * weight;
      const at::Tensor d_both =
          at::cat({d_inner * halves[1] * sigmoid * (1 + halves[0] * (1 - sigmoid)), d_inner * silu}, 1).to(gate_up.scalar_type());
      if (d_down.defined()) add_weight_gradient((dy * weight).to(down.scalar_type()), inner.to(down.scalar_type()), d_down[e]);
      if (d_gate_up.defined()) add_weight_gradient(d_both, hidden.index_select(0, token), d_gate_up[e]);
      result.hidden.index_add_(0, token, at::mm(d_both, gate_up[e]).to(at::kFloat));
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
  Saved(std::shared_ptr<ExpertOrder> o, const Parameter& g, const Parameter& d) : order(std::move(o)), gate_up(g), down(d) {}
  std::shared_ptr<ExpertOrder> order;
  const Parameter &gate_up, &down;
};

struct ExpertsFunction : torch::autograd::Function<ExpertsFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& hidden, const at::Tensor& weights, const at::Tensor& gate_up, const at::Tensor& down,
                            const c10::intrusive_ptr<Saved>& saved) {
    const ExpertOrder& order = *saved->order;
    const at::Tensor row_weight = weights.reshape({-1}).index_select(0, order.slot);
    at::Tensor gate_up_rows = at::empty({order.token.numel(), gate_up.size(1)}, hidden.options()), out;
    if (use_cpu_kernels(hidden)) {
      const auto shape = kernel_shape(hidden, gate_up, order);
      const auto rows = kernel_rows(order, row_weight);
      const at::Tensor y = at::empty({shape.slots, shape.hidden}, hidden.options());
      out = at::empty(hidden.sizes(), row_weight.options());
      kernels::cpu::experts_forward(shape, rows, raw_bf16(hidden), raw_bf16(gate_up), raw_bf16(down), raw_bf16(gate_up_rows), raw_bf16(y), workspace());
      kernels::cpu::experts_combine(shape, rows, raw_bf16(y), nullptr, raw_float(out), workspace());
    } else {
      out = ByExpert{order, gate_up, down}.forward(hidden, row_weight, gate_up_rows);
    }
    context->save_for_backward({hidden, row_weight, gate_up_rows});
    context->saved_data["saved"] = c10::IValue::make_capsule(saved);
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto tensors = context->get_saved_variables();
    const at::Tensor &hidden = tensors[0], &row_weight = tensors[1], &gate_up_rows = tensors[2];
    const auto saved = c10::static_intrusive_pointer_cast<Saved>(context->saved_data["saved"].toCapsule());
    const ExpertOrder& order = *saved->order;
    const Parameter &gate_up = saved->gate_up, &down = saved->down;
    const at::Tensor d_out = gradients[0].contiguous();
    ByExpert::Gradients result;
    if (use_cpu_kernels(hidden)) {
      result = {at::empty(hidden.sizes(), d_out.options()), at::empty_like(row_weight)};
      kernels::cpu::experts_backward(kernel_shape(hidden, gate_up.value, order), kernel_rows(order, row_weight), raw_float(d_out), raw_bf16(hidden),
                                     raw_bf16(gate_up_rows), raw_bf16(gate_up.value), raw_bf16(down.value),
                                     {raw_float(result.row_weight), raw_float(result.hidden), raw_float(gate_up.grad), raw_float(down.grad)}, workspace());
    } else {
      result = ByExpert{order, gate_up.value.detach(), down.value.detach()}.backward(d_out, hidden, row_weight, gate_up_rows, gate_up.grad, down.grad);
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
  const auto order = std::make_shared<ExpertOrder>(sort_by_expert(routing.experts, num_experts()));
  return ExpertsFunction::apply(hidden.contiguous(), routing.weights, gate_up_.value, down_.value, c10::make_intrusive<Saved>(order, gate_up_, down_));
}

}  // namespace sluice::nn
