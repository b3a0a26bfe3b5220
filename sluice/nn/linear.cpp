#include "sluice/nn/linear.h"

#include "sluice/kernels/cpu/linear.h"
#include "sluice/nn/lora.h"
#include "sluice/nn/raw.h"

namespace sluice::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor forward_product(const at::Tensor& x, const at::Tensor& w) {
  if (!use_cpu_kernels(x)) return at::linear(x, w);
  at::Tensor y = at::empty({x.size(0), w.size(0)}, x.options());
  kernels::cpu::linear_forward({x.size(0), w.size(1), w.size(0)}, raw_bf16(x), raw_bf16(w), raw_bf16(y), workspace());
  return y;
}

at::Tensor input_gradient(const at::Tensor& dy, const at::Tensor& w) {
  if (!use_cpu_kernels(dy)) return at::mm(dy, w);
  at::Tensor dx = at::empty({dy.size(0), w.size(1)}, dy.options());
  kernels::cpu::linear_input_gradient({dy.size(0), w.size(1), w.size(0)}, raw_bf16(dy), raw_bf16(w), raw_bf16(dx), workspace());
  return dx;
}

struct LinearFunction : torch::autograd::Function<LinearFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& w, const Parameter* weight) {
    context->save_for_backward({x});
    context->saved_data["needs_input_gradient"] = x.requires_grad();
    remember(context, *weight);
    return forward_product(x, w);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const Parameter& weight = recall(context);
    const at::Tensor dy = gradients[0].contiguous();
    if (weight.trainable()) add_weight_gradient(dy, context->get_saved_variables()[0], weight.grad);
    const bool wanted = context->saved_data["needs_input_gradient"].toBool();
    return {wanted ? input_gradient(dy, weight.value.detach()) : at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

struct EmbeddingFunction : torch::autograd::Function<EmbeddingFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& ids, const at::Tensor& values, const Parameter* table) {
    context->save_for_backward({ids});
    remember(context, *table);
    return values.index_select(0, ids).to(at::kFloat);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    at::Tensor grad = recall(context).grad;  // rows that several tokens share are added in token order: the same bits every time
    if (grad.defined()) grad.index_add_(0, context->get_saved_variables()[0], gradients[0]);
    return {at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

at::Tensor plain_product(const at::Tensor& x, const Parameter& weight) {
  if (few_rows(x)) return few_rows_product(x, weight.value, x.scalar_type());
  return LinearFunction::apply(x, weight.value, &weight);
}

}  // namespace

at::Tensor linear(const at::Tensor& x, const Parameter& weight) {
  const at::Tensor product = plain_product(x.contiguous(), weight), change = low_rank_product(x, weight);
  return change.defined() ? (product.to(at::kFloat) + change).to(x.scalar_type()) : product;
}

at::Tensor Linear::forward(const at::Tensor& x) const {
  const at::Tensor product = linear(x, weight_);
  return bias_ ? (product.to(at::kFloat) + bias_->value).to(x.scalar_type()) : product;
}

at::Tensor embedding(const at::Tensor& ids, const Parameter& table) {
  if (table.spec.is_whole()) return EmbeddingFunction::apply(ids, table.value, &table);
  const std::int64_t first = table.spec.is_elsewhere() ? 0 : table.spec.part.pieces[0].from[0], rows = table.value.size(0);
  const at::Tensor here = at::nonzero(at::logical_and(ids >= first, ids < first + rows)).view({-1});
  const at::Tensor out = at::zeros({ids.size(0), table.value.size(1)}, at::kFloat);
  return at::index_add(out, 0, here, EmbeddingFunction::apply(ids.index_select(0, here) - first, table.value, &table));
}

}  // namespace sluice::nn
