#include "sluice/nn/gated_delta_net.h"

#include <ATen/ATen.h>

#include <cmath>

#include "sluice/nn/delta_rule.h"
#include "sluice/nn/documents.h"
#include "sluice/nn/norm.h"

namespace sluice::nn {

GatedDeltaNet::GatedDeltaNet(ParameterStore& store, const std::string& name, const DeltaNetSizes& sizes)
    : sizes_(sizes), in_proj_qkvz_(store, name + ".in_proj_qkvz"), in_proj_ba_(store, name + ".in_proj_ba"), out_proj_(store, name + ".out_proj"),
      conv_(store.at(name + ".conv1d.weight")), a_log_(store.at(name + ".A_log")), dt_bias_(store.at(name + ".dt_bias")), norm_(store.at(name + ".norm.weight")) {}

at::Tensor GatedDeltaNet::forward(const at::Tensor& hidden, const ForwardContext& context, std::int64_t layer) const {
  const TensorRegion& region = context.seams.tensor;
  const AttentionCore& sequence = context.seams.attention;
  const ForwardContext whole{context.shape.whole ? *context.shape.whole : context.shape, context.seams, context.mode, 0, context.cache};
  const at::Tensor out = whole_sequences(sequence.all_positions(region.enter(hidden), context.shape), whole, layer);
  const at::Tensor own = sequence.own_positions(out, context.shape);
  return a_log_.spec.is_whole() ? region.leave_whole(own) : region.leave(own);
}

at::Tensor GatedDeltaNet::whole_sequences(const at::Tensor& hidden, const ForwardContext& context, std::int64_t layer) const {
  const SequenceShape& shape = context.shape;
  if (!shape.documents.empty()) return by_document(hidden, context, layer);
  LayerCache* cache = context.cache ? &context.cache->layers[static_cast<std::size_t>(layer)] : nullptr;
  const at::Tensor real = shape.real.defined() ? hidden * shape.real.to(hidden.scalar_type()).unsqueeze(1) : hidden;

  // By key head, then flat: [rows, seq, ...].
  const std::int64_t r = sizes_.value_heads / sizes_.key_heads, values = r * sizes_.value_dim;
  const std::int64_t value_heads = a_log_.value.size(0), key_heads = value_heads / r;  // of this rank
  if (cache && cache->state.size(1) != value_heads) {  // made for all heads
    const DeltaNetSizes own{key_heads, value_heads, sizes_.key_dim, sizes_.value_dim, sizes_.kernel, sizes_.eps};
    *cache = make_delta_net_cache(own, shape.rows, cache->conv.scalar_type());
  }
  const auto by_key_head = [&](const Linear& linear) { return linear.forward(real).view({shape.rows, shape.seq, key_heads, -1}); };
  const auto qkvz = by_key_head(in_proj_qkvz_).split_with_sizes({sizes_.key_dim, sizes_.key_dim, values, values}, 3);
  const auto ba = by_key_head(in_proj_ba_).to(at::kFloat).split(r, 3);
  const at::Tensor qkv = at::silu(convolved(at::cat({qkvz[0].flatten(2), qkvz[1].flatten(2), qkvz[2].flatten(2)}, 2), cache));
  const at::Tensor b = ba[0].flatten(2), a = ba[1].flatten(2) + dt_bias_.value, z = qkvz[3].to(at::kFloat);

  const std::int64_t keys = key_heads * sizes_.key_dim;
  const at::Tensor value = qkv.narrow(2, 2 * keys, key_heads * values).unflatten(2, {value_heads, sizes_.value_dim});
  const DeltaRuleInput in{unit_heads(qkv.narrow(2, 0, keys)) / std::sqrt(static_cast<double>(sizes_.key_dim)), unit_heads(qkv.narrow(2, keys, keys)),
                          value.transpose(1, 2), (-a_log_.value.exp() * at::softplus(a)).transpose(1, 2), at::sigmoid(b).transpose(1, 2)};
  const at::Tensor state = cache ? cache->state : at::Tensor();
  const DeltaRuleOutput rule = shape.seq == 1 ? delta_rule_by_token(in, state) : delta_rule_by_chunk(in, state);
  if (cache) cache->state = rule.state;

  const at::Tensor out = rule.out.transpose(1, 2).reshape({shape.tokens(), value_heads, sizes_.value_dim});
  const at::Tensor gated = rms_norm(out, norm_, sizes_.eps, at::kFloat) * at::silu(z).reshape(out.sizes());
  return out_proj_.forward(gated.flatten(1).to(hidden.scalar_type())).to(at::kFloat);
}

at::Tensor GatedDeltaNet::by_document(const at::Tensor& hidden, const ForwardContext& context, std::int64_t layer) const {
  return each_document(context.shape.documents, [&](std::int64_t begin, std::int64_t length) {
    const at::Tensor& real = context.shape.real;
    const SequenceShape alone{1, length, {}, real.defined() ? real.narrow(0, begin, length) : real, {}};
    return whole_sequences(hidden.narrow(0, begin, length), {alone, context.seams, context.mode}, layer);
  });
}

// Causal convolution of each channel by itself, float32.   mixed [rows, seq, channels], in any precision
at::Tensor GatedDeltaNet::convolved(const at::Tensor& mixed, LayerCache* cache) const {
  const std::int64_t seq = mixed.size(1), before = sizes_.kernel - 1;
  const at::Tensor past = cache ? cache->conv.transpose(1, 2) : at::zeros({mixed.size(0), before, mixed.size(2)}, mixed.options());
  const at::Tensor whole = at::cat({past, mixed}, 1);
  if (cache) cache->conv = whole.narrow(1, seq, before).transpose(1, 2).contiguous();
  const at::Tensor wide = whole.to(at::kFloat);
  at::Tensor sum = wide.narrow(1, 0, seq) * conv_.value.select(1, 0);
  for (std::int64_t tap = 1; tap < sizes_.kernel; ++tap) sum = sum + wide.narrow(1, tap, seq) * conv_.value.select(1, tap);
  return sum;
}

// Queries or keys of length 1, each repeated for the value heads it serves.   [rows, seq, key_heads * key_dim] -> [rows, value_heads, seq, key_dim]
at::Tensor GatedDeltaNet::unit_heads(const at::Tensor& x) const {
  const at::Tensor heads = x.unflatten(2, {-1, sizes_.key_dim}).transpose(1, 2);
  const at::Tensor unit = heads * at::rsqrt(heads.square().sum(-1, /*keepdim=*/true) + 1e-6);
  return unit.repeat_interleave(sizes_.value_heads / sizes_.key_heads, 1);
}

LayerCache make_delta_net_cache(const DeltaNetSizes& sizes, std::int64_t rows, at::ScalarType dtype) {
  return {{}, {}, at::zeros({rows, sizes.channels(), sizes.kernel - 1}, dtype), at::zeros({rows, sizes.value_heads, sizes.key_dim, sizes.value_dim}, at::kFloat)};
}

}  // namespace sluice::nn
