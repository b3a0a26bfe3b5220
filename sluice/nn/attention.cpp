#include "sluice/nn/attention.h"

#include <cmath>

#include "sluice/kernels/cpu/attention.h"
#include "sluice/nn/raw.h"

namespace sluice::nn {
namespace {

using kernels::cpu::AttentionShape;
using kernels::cpu::Bf16;
using kernels::cpu::Heads;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

AttentionShape kernel_shape(const at::Tensor& query, const at::Tensor& key, const SequenceShape& shape) {
  return {shape.rows, shape.seq, query.size(1), key.size(1), query.size(2), 1 / std::sqrt(static_cast<float>(query.size(2))), nullptr};
}

// [rows * seq, heads, head_dim], contiguous
template <class T>
Heads<T> heads(const at::Tensor& tensor, const SequenceShape& shape) {
  return {raw_bf16(tensor), kernels::cpu::contiguous_heads(shape.seq, tensor.size(1), tensor.size(2))};
}

struct AttentionFunction : torch::autograd::Function<AttentionFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, std::int64_t rows,
                            std::int64_t seq) {
    const SequenceShape shape{rows, seq, {}, {}};
    at::Tensor out = at::empty_like(query), lse = at::empty({rows, query.size(1), seq}, query.options().dtype(at::kFloat));
    kernels::cpu::attention_forward(kernel_shape(query, key, shape), heads<const Bf16>(query, shape), heads<const Bf16>(key, shape),
                                    heads<const Bf16>(value, shape), heads<Bf16>(out, shape), raw_float(lse), workspace());
    context->save_for_backward({query, key, value, out, lse});
    context->saved_data["rows"] = rows;
    context->saved_data["seq"] = seq;
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const SequenceShape shape{context->saved_data["rows"].toInt(), context->saved_data["seq"].toInt(), {}, {}};
    const at::Tensor d_out = gradients[0].contiguous();
    at::Tensor dq = at::empty_like(saved[0]), dk = at::empty_like(saved[1]), dv = at::empty_like(saved[2]);
    kernels::cpu::attention_backward(kernel_shape(saved[0], saved[1], shape),
                                     {heads<const Bf16>(saved[0], shape), heads<const Bf16>(saved[1], shape), heads<const Bf16>(saved[2], shape),
                                      heads<const Bf16>(saved[3], shape), raw_float(saved[4])},
                                     heads<const Bf16>(d_out, shape), heads<Bf16>(dq, shape), heads<Bf16>(dk, shape), heads<Bf16>(dv, shape), workspace());
    return {dq, dk, dv, at::Tensor(), at::Tensor()};
  }
};

// [tokens, heads, head_dim] -> [rows, heads, seq, head_dim]
at::Tensor by_head(const at::Tensor& x, const SequenceShape& shape) { return x.view({shape.rows, shape.seq, x.size(1), x.size(2)}).transpose(1, 2); }

// ATen's attention; `mask` bool, true = visible, undefined = plain causal. Returns [tokens, heads * head_dim].
at::Tensor reference_attention(const at::Tensor& query, const at::Tensor& keys, const at::Tensor& values, const SequenceShape& shape,
                               const at::Tensor& mask) {
  const at::Tensor q = by_head(query, shape);
  const bool grouped = keys.size(1) != q.size(1);
  const at::Tensor out = at::scaled_dot_product_attention(q, keys, values, mask.defined() ? std::optional(mask) : std::nullopt, /*dropout_p=*/0.0,
                                                          /*is_causal=*/!mask.defined(), /*scale=*/std::nullopt, grouped);
  return out.transpose(1, 2).reshape({shape.tokens(), query.size(1) * query.size(2)});
}

// Bool [rows, 1, seq, seq]: causal, real keys only; a padding token sees itself, so that no row of the softmax is empty.
at::Tensor padded_mask(const SequenceShape& shape) {
  const at::Tensor ones = at::ones({shape.seq, shape.seq}, shape.key_mask.options());
  return at::logical_and(ones.tril().unsqueeze(0), at::logical_or(shape.key_mask.unsqueeze(1), at::eye(shape.seq, shape.key_mask.options()))).unsqueeze(1);
}

}  // namespace

at::Tensor causal_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const SequenceShape& shape) {
  if (!shape.key_mask.defined() && use_cpu_kernels(query) && attention_supported(kernel_shape(query, key, shape))) {
    return AttentionFunction::apply(query.contiguous(), key.contiguous(), value.contiguous(), shape.rows, shape.seq)
        .view({shape.tokens(), query.size(1) * query.size(2)});
  }
  return reference_attention(query, by_head(key, shape), by_head(value, shape), shape, shape.key_mask.defined() ? padded_mask(shape) : at::Tensor());
}

at::Tensor cached_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const SequenceShape& shape, KvCache& cache,
                            std::int64_t layer) {
  const auto l = static_cast<std::size_t>(layer);
  const std::int64_t before = cache.length, total = before + shape.seq;
  cache.keys[l].narrow(2, before, shape.seq).copy_(by_head(key, shape));
  cache.values[l].narrow(2, before, shape.seq).copy_(by_head(value, shape));
  if (before == 0) return causal_attention(query, key, value, shape);
  const at::Tensor visible = at::ones({shape.seq, total}, query.options().dtype(at::kBool)).tril(before);
  return reference_attention(query, cache.keys[l].narrow(2, 0, total), cache.values[l].narrow(2, 0, total), shape, visible);
}

}  // namespace sluice::nn
