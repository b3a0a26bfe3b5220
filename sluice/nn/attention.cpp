#include "sluice/nn/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "sluice/kernels/cpu/attention.h"
#include "sluice/kernels/cpu/decode_attention.h"
#include "sluice/nn/documents.h"
#include "sluice/nn/parameter.h"
#include "sluice/nn/raw.h"
#include "sluice/nn/recompute.h"

namespace sluice::nn {
namespace {

using kernels::cpu::AttentionShape;
using kernels::cpu::Bf16;
using kernels::cpu::Heads;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

double scale_of(const AttentionOptions& options, const at::Tensor& query) {
  return options.scale != 0 ? options.scale : 1 / std::sqrt(static_cast<double>(query.size(2)));
}

AttentionShape kernel_shape(const at::Tensor& query, const at::Tensor& key, const SequenceShape& shape, double scale) {
  return {shape.rows, shape.seq, query.size(1), key.size(1), query.size(2), static_cast<float>(scale), nullptr};
}

// [rows * seq, heads, head_dim], contiguous
template <class T>
Heads<T> heads(const at::Tensor& tensor, const SequenceShape& shape) {
  return {raw_bf16(tensor), kernels::cpu::contiguous_heads(shape.seq, tensor.size(1), tensor.size(2))};
}

struct AttentionFunction : torch::autograd::Function<AttentionFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, std::int64_t rows,
                            std::int64_t seq, double scale) {
    const SequenceShape shape{rows, seq, {}, {}, {}};
    at::Tensor out = at::empty_like(query), lse = at::empty({rows, query.size(1), seq}, query.options().dtype(at::kFloat));
    kernels::cpu::attention_forward(kernel_shape(query, key, shape, scale), heads<const Bf16>(query, shape), heads<const Bf16>(key, shape),
                                    heads<const Bf16>(value, shape), heads<Bf16>(out, shape), raw_float(lse), workspace());
    context->save_for_backward({query, key, value, out, lse});
    context->saved_data["rows"] = rows;
    context->saved_data["seq"] = seq;
    context->saved_data["scale"] = scale;
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const SequenceShape shape{context->saved_data["rows"].toInt(), context->saved_data["seq"].toInt(), {}, {}, {}};
    const at::Tensor d_out = gradients[0].contiguous();
    at::Tensor dq = at::empty_like(saved[0]), dk = at::empty_like(saved[1]), dv = at::empty_like(saved[2]);
    kernels::cpu::attention_backward(kernel_shape(saved[0], saved[1], shape, context->saved_data["scale"].toDouble()),
                                     {heads<const Bf16>(saved[0], shape), heads<const Bf16>(saved[1], shape), heads<const Bf16>(saved[2], shape),
                                      heads<const Bf16>(saved[3], shape), raw_float(saved[4])},
                                     heads<const Bf16>(d_out, shape), heads<Bf16>(dq, shape), heads<Bf16>(dk, shape), heads<Bf16>(dv, shape), workspace());
    return {dq, dk, dv, {}, {}, {}};
  }
};

// [tokens, heads, head_dim] -> [rows, heads, seq, head_dim]
at::Tensor by_head(const at::Tensor& x, const SequenceShape& shape) { return x.view({shape.rows, shape.seq, x.size(1), x.size(2)}).transpose(1, 2); }

// Bool [rows or 1, 1, queries, keys], true = visible: causal, within the window, real keys only; a padding token sees itself, so that no
// row of the softmax is empty. The queries are the last of the keys' positions.
at::Tensor visible_keys(const SequenceShape& shape, std::int64_t before, std::int64_t window) {
  const std::int64_t total = before + shape.seq;
  at::Tensor mask = at::ones({shape.seq, total}, at::kBool).tril(before);
  if (window > 0) mask = at::logical_and(mask, at::ones({shape.seq, total}, at::kBool).triu(before - window + 1));
  mask = mask.view({1, 1, shape.seq, total});
  if (!shape.key_mask.defined()) return mask;
  const at::Tensor real = at::logical_or(shape.key_mask.unsqueeze(1), at::eye(shape.seq, shape.key_mask.options()));
  return at::logical_and(mask, real.unsqueeze(1));
}

// softmax written out, in float32: what soft caps and sinks need.   q [rows, heads, queries, head_dim], keys [rows, kv_heads, keys, ...]
at::Tensor written_out(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values, const at::Tensor& mask, double scale,
                       const AttentionOptions& options) {
  const std::int64_t rows = q.size(0), heads = q.size(1), queries = q.size(2), kv_heads = keys.size(1), total = keys.size(2);
  const at::Tensor grouped = q.reshape({rows, kv_heads, heads / kv_heads * queries, q.size(3)});
  at::Tensor score = (at::matmul(grouped, keys.transpose(2, 3)).to(at::kFloat) * scale).view({rows, heads, queries, total});
  if (options.softcap > 0) score = at::tanh(score / options.softcap) * options.softcap;
  score = score.masked_fill(at::logical_not(mask), -std::numeric_limits<float>::infinity());
  if (options.sinks) score = at::cat({score, options.sinks->value.view({1, heads, 1, 1}).expand({rows, heads, queries, 1})}, 3);
  const at::Tensor probability = at::softmax(score, 3).narrow(3, 0, total).to(values.scalar_type());
  return at::matmul(probability.reshape({rows, kv_heads, heads / kv_heads * queries, total}), values).view({rows, heads, queries, values.size(3)});
}

// ATen's attention for queries that follow `before` earlier keys. Returns [tokens, heads * value_dim].
at::Tensor reference_attention(const at::Tensor& query, const at::Tensor& keys, const at::Tensor& values, const SequenceShape& shape, std::int64_t before,
                               const AttentionOptions& options) {
  const at::Tensor q = by_head(query, shape);
  const double scale = scale_of(options, query);
  const std::int64_t window = options.window < before + shape.seq ? options.window : 0;
  const bool plain = before == 0 && window == 0 && !shape.key_mask.defined();
  at::Tensor out;
  if (options.softcap > 0 || options.sinks) {
    out = written_out(q, keys, values, visible_keys(shape, before, window), scale, options);
  } else {
    const bool sees_all = shape.seq == 1 && window == 0 && !shape.key_mask.defined();  // one new token of a generation
    const auto mask = plain || sees_all ? std::nullopt : std::optional(visible_keys(shape, before, window));
    out = at::scaled_dot_product_attention(q, keys, values, mask, /*dropout_p=*/0.0, /*is_causal=*/plain && !sees_all, scale, /*enable_gqa=*/keys.size(1) != q.size(1));
  }
  return out.transpose(1, 2).reshape({shape.tokens(), query.size(1) * values.size(3)});
}

bool kernel_fits(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const SequenceShape& shape, const AttentionOptions& options) {
  const bool plain = !shape.key_mask.defined() && options.softcap == 0 && !options.sinks && (options.window == 0 || options.window >= shape.seq);
  return plain && use_cpu_kernels(query) && key.size(2) == value.size(2) && attention_supported(kernel_shape(query, key, shape, scale_of(options, query)));
}

// One new token a row against whole caches, by the kernel; undefined where that does not fit.   query [rows, heads, head_dim]
at::Tensor decoded(const at::Tensor& query, const LayerCache& cache, const SequenceShape& shape, std::int64_t before, const AttentionOptions& options) {
  if (shape.seq != 1 || at::GradMode::is_enabled() || shape.key_mask.defined() || options.softcap > 0 || options.sinks || !use_cpu_kernels(query)) return {};
  const std::int64_t end = before + 1, begin = options.window > 0 ? std::max<std::int64_t>(0, end - options.window) : 0;
  const kernels::cpu::DecodeShape decode{shape.rows, query.size(1), cache.keys.size(1), query.size(2), cache.keys.size(2), begin, end,
                                         static_cast<float>(scale_of(options, query))};
  if (cache.values.size(3) != query.size(2) || !decode_supported(decode)) return {};
  const at::Tensor q = query.contiguous(), out = at::empty({shape.rows, query.size(1) * query.size(2)}, query.options());
  kernels::cpu::decode_attention(decode, raw_bf16(q), raw_bf16(cache.keys), raw_bf16(cache.values), raw_bf16(out));
  return out;
}

// Each document of packed rows by itself: what one of them costs, and gives, when it stands alone.
at::Tensor by_document(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const std::vector<std::int64_t>& documents,
                       const AttentionOptions& options) {
  return each_document(documents, [&](std::int64_t begin, std::int64_t length) {
    const auto part = [&](const at::Tensor& x) { return x.narrow(0, begin, length); };
    return causal_attention(part(query), part(key), part(value), {1, length, {}, {}, {}}, options);
  });
}

}  // namespace

at::Tensor causal_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const SequenceShape& shape,
                            const AttentionOptions& options) {
  if (!shape.documents.empty()) return by_document(query, key, value, shape.documents, options);
  if (kernel_fits(query, key, value, shape, options)) {
    return AttentionFunction::apply(query.contiguous(), key.contiguous(), value.contiguous(), shape.rows, shape.seq, scale_of(options, query))
        .view({shape.tokens(), query.size(1) * query.size(2)});
  }
  return reference_attention(query, by_head(key, shape), by_head(value, shape), shape, 0, options);
}

at::Tensor cached_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const SequenceShape& shape, LayerCache& cache,
                            std::int64_t before, const AttentionOptions& options) {
  const std::int64_t total = before + shape.seq;
  if (cache.keys.size(1) != key.size(1)) {  // made for all heads, of which a rank of a tensor split has some
    cache.keys = at::empty({shape.rows, key.size(1), cache.keys.size(2), key.size(2)}, cache.keys.options());
    cache.values = at::empty({shape.rows, value.size(1), cache.values.size(2), value.size(2)}, cache.values.options());
  }
  cache.keys.narrow(2, before, shape.seq).copy_(by_head(key, shape));
  cache.values.narrow(2, before, shape.seq).copy_(by_head(value, shape));
  if (before == 0) return causal_attention(query, key, value, shape, options);
  if (const at::Tensor out = decoded(query, cache, shape, before, options); out.defined()) return out;
  return reference_attention(query, cache.keys.narrow(2, 0, total), cache.values.narrow(2, 0, total), shape, before, options);
}

at::Tensor masked_attention(const at::Tensor& query, const at::Tensor& keys, const at::Tensor& values, const at::Tensor& mask, const SequenceShape& shape,
                            const AttentionOptions& options) {
  const at::Tensor q = by_head(query, shape);
  const double scale = scale_of(options, query);
  const bool by_hand = options.softcap > 0 || options.sinks;
  const at::Tensor out = by_hand ? written_out(q, keys, values, mask, scale, options)
                                 : at::scaled_dot_product_attention(q, keys, values, mask, /*dropout_p=*/0.0, /*is_causal=*/false, scale, /*enable_gqa=*/keys.size(1) != q.size(1));
  return out.transpose(1, 2).reshape({shape.tokens(), query.size(1) * values.size(3)});
}

at::Tensor attend(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const ForwardContext& context, std::int64_t layer,
                  const AttentionOptions& options) {
  if (recomputes(Module::kCoreAttention)) {
    return recomputed({query, key, value}, [&core = context.seams.attention, shape = context.shape, options](const Tensors& in) {
      return Tensors{core.forward(in[0], in[1], in[2], shape, options)};
    })[0];
  }
  if (!context.cache) return context.seams.attention.forward(query, key, value, context.shape, options);
  return cached_attention(query, key, value, context.shape, context.cache->layers[static_cast<std::size_t>(layer)], context.cache->length, options);
}

LayerCache make_layer_cache(const CacheShape& shape, at::ScalarType dtype) {
  const auto make = [&](std::int64_t width) { return at::empty({shape.rows, shape.kv_heads, shape.capacity, width}, dtype); };
  return {make(shape.head_dim), make(shape.value_dim), {}, {}};
}

KvCache make_attention_cache(const CacheShape& shape, std::int64_t layers, at::ScalarType dtype) {
  KvCache cache;
  for (std::int64_t layer = 0; layer < layers; ++layer) cache.layers.push_back(make_layer_cache(shape, dtype));
  return cache;
}

}  // namespace sluice::nn
