#include "sluice/models/gemma/attention.h"

#include "sluice/nn/attention.h"

namespace sluice::models {

GemmaAttention::GemmaAttention(const GemmaSizes& sizes, nn::ParameterStore& store, std::size_t layer, const nn::RopeTable& rope, const std::string& at)
    : sizes_(sizes), layer_(static_cast<std::int64_t>(layer)), rope_(rope), q_(store, at + ".q_proj"), k_(store, at + ".k_proj"),
      v_(store, at + ".v_proj"), o_(store, at + ".o_proj") {}

at::Tensor GemmaAttention::forward(const at::Tensor& normed, const nn::ForwardContext& context) const {
  const nn::Positions positions = context.positions();
  const auto heads = [&](const nn::Linear& linear) { return linear.forward(normed).view({context.shape.tokens(), -1, sizes_.head_dim}); };
  const at::Tensor query = nn::apply_rope(heads(q_), rope_, positions), key = nn::apply_rope(heads(k_), rope_, positions);
  return o_.forward(nn::attend(query, key, heads(v_), context, layer_, sizes_.attention[static_cast<std::size_t>(layer_)]));
}

}  // namespace sluice::models
