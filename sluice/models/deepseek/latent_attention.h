// Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434, section 2.1): keys and values are products of one small latent vector a token,
// and one rotary key is shared by all heads.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sluice/models/tensor_table.h"
#include "sluice/nn/forward.h"
#include "sluice/nn/linear.h"
#include "sluice/nn/recompute.h"
#include "sluice/nn/rope.h"

namespace sluice::models {

// Which rotary dimensions form a pair: 2i and 2i + 1, or i and i + rope / 2.
enum class RotaryPairs { kNeighbours, kHalves };

struct LatentSizes {
  std::int64_t hidden = 0, heads = 0;
  std::optional<std::int64_t> q_rank;  // queries come from a latent of their own; unset = straight from the hidden state
  std::int64_t kv_rank = 0;
  std::int64_t nope = 0, rope = 0;  // a query's or key's dimensions without and with rotation
  std::int64_t value = 0;           // a head's value
  Bias bias = Bias::kNone;          // of the products into the latents and of the output
  double scale = 0;                 // of q k^T
  RotaryPairs pairs = RotaryPairs::kNeighbours;
};

// Adds the linears and norms of one layer, `hf`.q_a_proj.weight and so on.
void add_latent_attention(std::vector<TensorSpec>& table, const std::string& ours, const std::string& hf, const LatentSizes& sizes);

class LatentAttention {
 public:
  // `rope` outlives this; `layer` is the index in the cache.
  LatentAttention(const LatentSizes& sizes, nn::ParameterStore& store, const std::string& name, std::int64_t layer, const nn::RopeTable& rope);

  //   hidden   [tokens, hidden], normed, in the weights' precision
  //   returns  [tokens, hidden], same precision
  // Generation keeps only the latent and the rotary key: the products with kv_b_proj move to the query's and the output's side
  // (section 2.1.2), which gives the same result up to rounding.
  at::Tensor forward(const at::Tensor& hidden, const nn::ForwardContext& context) const;

 private:
  at::Tensor rotated(const at::Tensor& x, const nn::Positions& positions) const;  // [tokens, heads, rope] -> the same
  // From the query's latent (or the hidden states): [tokens, heads, nope + rope], rotated
  at::Tensor query(const at::Tensor& latent, const nn::Positions& positions) const;
  // Keys and values of all heads; rotary_key [tokens, 1, rope], not yet rotated.
  nn::Tensors up_projection(const at::Tensor& query_latent, const at::Tensor& latent, const at::Tensor& rotary_key, const nn::Positions& positions) const;
  at::Tensor with_latents(const at::Tensor& query, const at::Tensor& latent, const at::Tensor& rotary_key, const nn::ForwardContext& context) const;

  LatentSizes sizes_;
  std::int64_t layer_;
  const nn::RopeTable& rope_;
  // q is q_proj, or q_b_proj behind q_a_proj.
  const nn::Parameter* q_a_norm_;
  std::unique_ptr<nn::Linear> q_a_;
  nn::Linear q_, kv_a_, kv_b_, o_;
  const nn::Parameter& kv_a_norm_;
};

// Generation keeps the latent and the rotary key of each token: [rows, 1, capacity, kv_rank + rope] as keys, [rows, 1, capacity, kv_rank] as values.
nn::LayerCache make_latent_cache(const LatentSizes& sizes, std::int64_t rows, std::int64_t capacity, at::ScalarType dtype);

}  // namespace sluice::models
