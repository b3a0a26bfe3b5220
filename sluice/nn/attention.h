// Causal attention with grouped key and value heads (Ainslie et al., arXiv:2305.13245).
#pragma once
#include <ATen/core/Tensor.h>

#include "sluice/nn/forward.h"

namespace sluice::nn {

// As AttentionCore::forward, on this process alone.
at::Tensor causal_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const SequenceShape& shape);

// As above for `seq` new tokens that follow cache.length earlier ones; appends their keys and values to layer `layer` of the cache.
at::Tensor cached_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const SequenceShape& shape, KvCache& cache,
                            std::int64_t layer);

}  // namespace sluice::nn
