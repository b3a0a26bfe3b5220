// Causal attention with grouped key and value heads (Ainslie et al., arXiv:2305.13245).
#pragma once
#include <ATen/core/Tensor.h>

#include "sluice/nn/forward.h"

namespace sluice::nn {

// What a layer calls: the seam's attention core, or under generation the new tokens against the cache of layer `layer`, to which their
// keys and values are added. Shapes as AttentionCore::forward.
at::Tensor attend(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const ForwardContext& context, std::int64_t layer,
                  const AttentionOptions& options = {});

// As AttentionCore::forward, on this process alone.
at::Tensor causal_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const SequenceShape& shape,
                            const AttentionOptions& options = {});

// As above for `seq` new tokens that follow `before` earlier ones in the cache; appends their keys and values.
at::Tensor cached_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const SequenceShape& shape, LayerCache& cache,
                            std::int64_t before, const AttentionOptions& options = {});

// softmax(q k^T) v where `mask` is true, by ATen: for keys that do not begin and end where the queries do.
//   query  [tokens, heads, head_dim] of `shape`; keys, values [rows, kv_heads, keys, ...]; mask bool [rows or 1, 1, seq, keys]
at::Tensor masked_attention(const at::Tensor& query, const at::Tensor& keys, const at::Tensor& values, const at::Tensor& mask, const SequenceShape& shape,
                            const AttentionOptions& options);

// An empty cache of one layer of attention: keys [rows, kv_heads, capacity, head_dim], values [rows, kv_heads, capacity, value_dim].
struct CacheShape {
  std::int64_t rows = 0, kv_heads = 0, capacity = 0, head_dim = 0, value_dim = 0;
};
LayerCache make_layer_cache(const CacheShape& shape, at::ScalarType dtype);
// The same for each of `layers` layers.
KvCache make_attention_cache(const CacheShape& shape, std::int64_t layers, at::ScalarType dtype);

}  // namespace sluice::nn
