#include "sluice/models/deepseek/latent_attention.h"

#include "sluice/nn/attention.h"
#include "sluice/nn/lora.h"
#include "sluice/nn/norm.h"

namespace sluice::models {
namespace {

constexpr double kLatentEps = 1e-6;  // the norms of the latents, whatever config.json's rms_norm_eps

}  // namespace

void add_latent_attention(std::vector<TensorSpec>& table, const std::string& ours, const std::string& hf, const LatentSizes& sizes) {
  const auto [hidden, heads, q_rank, kv_rank, nope, rope, value, bias, scale, pairs] = sizes;
  const std::int64_t q_width = heads * (nope + rope);
  if (q_rank) {
    add_linear(table, ours + ".q_a_proj", hf + ".q_a_proj", *q_rank, hidden, Shard::kReplicated, bias);
    table.push_back(whole(norm(ours + ".q_a_norm.weight", *q_rank), Shard::kReplicated, hf + ".q_a_layernorm.weight"));
    add_linear(table, ours + ".q_b_proj", hf + ".q_b_proj", q_width, *q_rank, Shard::kRows);
  } else {
    add_linear(table, ours + ".q_proj", hf + ".q_proj", q_width, hidden, Shard::kRows);
  }
  add_linear(table, ours + ".kv_a_proj", hf + ".kv_a_proj_with_mqa", kv_rank + rope, hidden, Shard::kReplicated, bias);
  table.push_back(whole(norm(ours + ".kv_a_norm.weight", kv_rank), Shard::kReplicated, hf + ".kv_a_layernorm.weight"));
  add_linear(table, ours + ".kv_b_proj", hf + ".kv_b_proj", heads * (nope + value), kv_rank, Shard::kRows);
  add_linear(table, ours + ".o_proj", hf + ".o_proj", hidden, heads * value, Shard::kColumns, bias);
}

LatentAttention::LatentAttention(const LatentSizes& sizes, nn::ParameterStore& store, const std::string& name, std::int64_t layer, const nn::RopeTable& rope)
    : sizes_(sizes), layer_(layer), rope_(rope), q_a_norm_(store.find(name + ".q_a_norm.weight")),
      q_a_(sizes.q_rank ? std::make_unique<nn::Linear>(store, name + ".q_a_proj") : nullptr), q_(store, name + (sizes.q_rank ? ".q_b_proj" : ".q_proj")),
      kv_a_(store, name + ".kv_a_proj"), kv_b_(store, name + ".kv_b_proj"), o_(store, name + ".o_proj"), kv_a_norm_(store.at(name + ".kv_a_norm.weight")) {}

at::Tensor LatentAttention::forward(const at::Tensor& hidden, const nn::ForwardContext& context) const {
  const at::Tensor both = kv_a_.forward(hidden);  // [tokens, kv_rank + rope]
  const at::Tensor latent = nn::rms_norm(both.narrow(1, 0, sizes_.kv_rank), kv_a_norm_, kLatentEps, hidden.scalar_type());
  const at::Tensor rotary_key = both.narrow(1, sizes_.kv_rank, sizes_.rope).unsqueeze(1);  // [tokens, 1, rope]
  const at::Tensor query_latent = q_a_ ? nn::rms_norm(q_a_->forward(hidden), *q_a_norm_, kLatentEps, hidden.scalar_type()) : hidden;
  const nn::Positions positions = context.positions();
  if (context.cache) return o_.forward(with_latents(query(query_latent, positions), latent, rotated(rotary_key, positions), context));
  const nn::Tensors qkv = nn::forgotten(nn::Module::kMlaUpProjection, {query_latent, latent, rotary_key},
                                        [this, positions](const nn::Tensors& in) { return up_projection(in[0], in[1], in[2], positions); });
  return o_.forward(nn::attend(qkv[0], qkv[1], qkv[2], context, layer_, {.scale = sizes_.scale}));
}

at::Tensor LatentAttention::rotated(const at::Tensor& x, const nn::Positions& positions) const {
  return sizes_.pairs == RotaryPairs::kNeighbours ? nn::apply_rope_to_neighbours(x, rope_, positions) : nn::apply_rope(x, rope_, positions);
}

at::Tensor LatentAttention::query(const at::Tensor& latent, const nn::Positions& positions) const {
  const at::Tensor q = q_.forward(latent).view({latent.size(0), -1, sizes_.nope + sizes_.rope});
  return at::cat({q.narrow(2, 0, sizes_.nope), rotated(q.narrow(2, sizes_.nope, sizes_.rope), positions)}, 2);
}

nn::Tensors LatentAttention::up_projection(const at::Tensor& query_latent, const at::Tensor& latent, const at::Tensor& rotary_key,
                                           const nn::Positions& positions) const {
  const at::Tensor kv = kv_b_.forward(latent).view({latent.size(0), -1, sizes_.nope + sizes_.value});
  const at::Tensor key = at::cat({kv.narrow(2, 0, sizes_.nope), rotated(rotary_key, positions).expand({-1, kv.size(1), -1})}, 2);
  return {query(query_latent, positions), key, kv.narrow(2, sizes_.nope, sizes_.value).contiguous()};
}

// q_nope (W_k c) = (q_nope W_k) c and sum_j p_j W_v c_j = W_v (sum_j p_j c_j): attention of all heads over the latents c themselves.
at::Tensor LatentAttention::with_latents(const at::Tensor& query, const at::Tensor& latent, const at::Tensor& rotary_key,
                                         const nn::ForwardContext& context) const {
  const at::Tensor w = nn::merged_value(kv_b_.weight()).view({-1, sizes_.nope + sizes_.value, sizes_.kv_rank});
  const at::Tensor w_key = w.narrow(1, 0, sizes_.nope), w_value = w.narrow(1, sizes_.nope, sizes_.value);
  const at::Tensor to_latent = at::bmm(query.narrow(2, 0, sizes_.nope).transpose(0, 1), w_key).transpose(0, 1);  // [tokens, heads, kv_rank]
  const at::Tensor latent_query = at::cat({to_latent, query.narrow(2, sizes_.nope, sizes_.rope)}, 2);
  const at::Tensor value = latent.unsqueeze(1), key = at::cat({value, rotary_key}, 2);  // one head for all
  const at::Tensor seen = nn::attend(latent_query, key, value, context, layer_, {.scale = sizes_.scale}).view({query.size(0), -1, sizes_.kv_rank});
  return at::bmm(seen.transpose(0, 1), w_value.transpose(1, 2)).transpose(0, 1).flatten(1);
}

nn::LayerCache make_latent_cache(const LatentSizes& sizes, std::int64_t rows, std::int64_t capacity, at::ScalarType dtype) {
  return nn::make_layer_cache({rows, 1, capacity, sizes.kv_rank + sizes.rope, sizes.kv_rank}, dtype);
}

}  // namespace sluice::models
