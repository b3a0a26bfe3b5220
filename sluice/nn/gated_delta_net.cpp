#include "sluice/nn/gated_delta_net.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "sluice/base/error.h"
#include "sluice/nn/delta_rule.h"
#include "sluice/nn/documents.h"
#include "sluice/nn/norm.h"

namespace sluice::nn {

GatedDeltaNet::GatedDeltaNet(ParameterStore& store, const std::string& name, const DeltaNetSizes& sizes)
    : sizes_(sizes), in_proj_qkvz_(store, name + ".in_proj_qkvz"), in_proj_ba_(store, name + ".in_proj_ba"), out_proj_(store, name + ".out_proj"),
      conv_(store.at(name + ".conv1d.weight")), a_log_(store.at(name + ".A_log")), dt_bias_(store.at(name + ".dt_bias")), norm_(store.at(name + ".norm.weight")) {}

at::Tensor GatedDeltaNet::forward(const at::Tensor& hidden, const ForwardContext& context, std::int64_t layer) const {
  const TensorRegion& region = context.seams.tensor;
  const AttentionCore& ranks = context.seams.attention;
  const SequenceShape &shape = context.shape, &whole = shape.whole ? *shape.whole : shape;
  const Share share = share_of(ranks.head_share());
  const at::Tensor entered = region.enter(hidden);
  const at::Tensor real = shape.real.defined() ? entered * shape.real.to(entered.scalar_type()).unsqueeze(1) : entered;

  // By key head: [tokens, key_heads, ...].
  const std::int64_t r = sizes_.value_heads / sizes_.key_heads, values = r * sizes_.value_dim;
  const auto by_key_head = [&](const Linear& linear) { return linear.forward(real).view({shape.tokens(), a_log_.value.size(0) / r, -1}); };
  const auto qkvz = by_key_head(in_proj_qkvz_).split_with_sizes({sizes_.key_dim, sizes_.key_dim, values, values}, 2);
  const auto ba = by_key_head(in_proj_ba_).split(r, 2);

  const auto copied = [&](const at::Tensor& x) { return x.unsqueeze(2).expand({-1, -1, share.copies, -1}).flatten(1, 2); };
  const auto divided = [&](const at::Tensor& x) { return x.unflatten(2, {share.copies, -1}).flatten(1, 2); };
  const at::Tensor inputs = at::cat({copied(qkvz[0]), copied(qkvz[1]), divided(qkvz[2]), divided(ba[0]), divided(ba[1])}, 2);
  LayerCache* cache = context.cache ? &context.cache->layers[static_cast<std::size_t>(layer)] : nullptr;
  const at::Tensor out = ranks.join_heads(along_sequences(ranks.split_heads(inputs, shape), whole, share, cache), shape);

  const at::Tensor gated = rms_norm(out, norm_, sizes_.eps, at::kFloat) * at::silu(qkvz[3].to(at::kFloat)).reshape(out.sizes());
  const at::Tensor mixed = out_proj_.forward(gated.flatten(1).to(hidden.scalar_type())).to(at::kFloat);
  return a_log_.spec.is_whole() ? region.leave_whole(mixed) : region.leave(mixed);
}

GatedDeltaNet::Share GatedDeltaNet::share_of(const AttentionCore::HeadShare& ranks) const {
  const std::int64_t values = a_log_.value.size(0), keys = values * sizes_.key_heads / sizes_.value_heads;  // of this rank of a tensor split
  const std::int64_t copies = std::max<std::int64_t>(1, ranks.count / keys);
  SLUICE_CHECK(keys * copies % ranks.count == 0 && values % ranks.count == 0,
               std::to_string(keys) + " key heads with " + std::to_string(values) + " value heads over " + std::to_string(ranks.count) + " ranks");
  return {ranks.index * keys / ranks.count, keys * copies / ranks.count, ranks.index * values / ranks.count, values / ranks.count, copies};
}

at::Tensor GatedDeltaNet::along_sequences(const at::Tensor& inputs, const SequenceShape& shape, const Share& share, LayerCache* cache) const {
  if (!shape.documents.empty()) {
    return each_document(shape.documents, [&](std::int64_t begin, std::int64_t length) {
      return along_sequences(inputs.narrow(0, begin, length), {1, length, {}, {}, {}}, share, nullptr);
    });
  }
  if (cache && cache->state.size(1) != share.values) {  // made for all heads
    const DeltaNetSizes own{share.keys, share.values, sizes_.key_dim, sizes_.value_dim, sizes_.kernel, sizes_.eps};
    *cache = make_delta_net_cache(own, shape.rows, cache->conv.scalar_type());
  }
  const std::int64_t r = share.values / share.keys, keys = share.keys * sizes_.key_dim;
  const auto by_key_head = inputs.view({shape.rows, shape.seq, share.keys, -1}).split_with_sizes({sizes_.key_dim, sizes_.key_dim, r * sizes_.value_dim, r, r}, 3);
  const auto of_value_heads = [&](const Parameter& weight) { return weight.value.narrow(0, share.first_value, share.values); };

  // Flat, then by head: [rows, seq, ...] -> [rows, heads, seq, ...].
  const at::Tensor qkv = at::silu(convolved(at::cat({by_key_head[0].flatten(2), by_key_head[1].flatten(2), by_key_head[2].flatten(2)}, 2), share, cache));
  const at::Tensor value = qkv.narrow(2, 2 * keys, share.values * sizes_.value_dim).unflatten(2, {share.values, sizes_.value_dim});
  const at::Tensor b = by_key_head[3].to(at::kFloat).flatten(2), a = by_key_head[4].to(at::kFloat).flatten(2) + of_value_heads(dt_bias_);
  const at::Tensor log_decay = -of_value_heads(a_log_).exp() * at::softplus(a);
  const DeltaRuleInput in{unit_heads(qkv.narrow(2, 0, keys), r) / std::sqrt(static_cast<double>(sizes_.key_dim)), unit_heads(qkv.narrow(2, keys, keys), r),
                          value.transpose(1, 2), log_decay.transpose(1, 2), at::sigmoid(b).transpose(1, 2)};
  const at::Tensor state = cache ? cache->state : at::Tensor();
  const DeltaRuleOutput rule = shape.seq == 1 ? delta_rule_by_token(in, state) : delta_rule_by_chunk(in, state);
  if (cache) cache->state = rule.state;
  return rule.out.transpose(1, 2).reshape({shape.tokens(), share.values, sizes_.value_dim});
}

// Causal convolution of each channel by itself, float32.   mixed [rows, seq, channels of the share], in any precision
at::Tensor GatedDeltaNet::convolved(const at::Tensor& mixed, const Share& share, LayerCache* cache) const {
  const std::int64_t seq = mixed.size(1), before = sizes_.kernel - 1;
  const at::Tensor past = cache ? cache->conv.transpose(1, 2) : at::zeros({mixed.size(0), before, mixed.size(2)}, mixed.options());
  const at::Tensor whole = at::cat({past, mixed}, 1), taps = taps_of(share);
  if (cache) cache->conv = whole.narrow(1, seq, before).transpose(1, 2).contiguous();
  const at::Tensor wide = whole.to(at::kFloat);
  at::Tensor sum = wide.narrow(1, 0, seq) * taps.select(1, 0);
  for (std::int64_t tap = 1; tap < sizes_.kernel; ++tap) sum = sum + wide.narrow(1, tap, seq) * taps.select(1, tap);
  return sum;
}

at::Tensor GatedDeltaNet::taps_of(const Share& share) const {
  const std::int64_t values = a_log_.value.size(0), all_keys = values * sizes_.key_heads / sizes_.value_heads * sizes_.key_dim;
  const std::int64_t first = share.first_key * sizes_.key_dim, keys = share.keys * sizes_.key_dim;
  return at::cat({conv_.value.narrow(0, first, keys), conv_.value.narrow(0, all_keys + first, keys),
                  conv_.value.narrow(0, 2 * all_keys + share.first_value * sizes_.value_dim, share.values * sizes_.value_dim)}, 0);
}

// Queries or keys of length 1, each repeated for the value heads it serves.   [rows, seq, key_heads * key_dim] -> [rows, value_heads, seq, key_dim]
at::Tensor GatedDeltaNet::unit_heads(const at::Tensor& x, std::int64_t times) const {
  const at::Tensor heads = x.unflatten(2, {-1, sizes_.key_dim}).transpose(1, 2);
  const at::Tensor unit = heads * at::rsqrt(heads.square().sum(-1, /*keepdim=*/true) + 1e-6);
  return unit.repeat_interleave(times, 1);
}

LayerCache make_delta_net_cache(const DeltaNetSizes& sizes, std::int64_t rows, at::ScalarType dtype) {
  return {{}, {}, at::zeros({rows, sizes.channels(), sizes.kernel - 1}, dtype), at::zeros({rows, sizes.value_heads, sizes.key_dim, sizes.value_dim}, at::kFloat)};
}

}  // namespace sluice::nn
