#include "sluice/models/qwen3_next/gated_attention.h"

#include "sluice/nn/attention.h"
#include "sluice/nn/norm.h"

namespace sluice::models {

at::Tensor GatedAttention::forward(const at::Tensor& hidden, const nn::ForwardContext& context, std::int64_t layer) const {
  const at::Tensor x = context.seams.tensor.enter(hidden);
  const std::int64_t head_dim = config_.head_size();
  const nn::Positions positions = context.positions();
  const auto heads = [&](const at::Tensor& y, std::int64_t width) { return y.view({context.shape.tokens(), -1, width}); };
  const auto rotated = [&](const at::Tensor& y, const nn::Parameter& norm) {
    return nn::apply_rope(nn::zero_centred_rms_norm(y, norm, config_.rms_norm_eps, y.scalar_type()), rope_, positions);
  };
  const auto query_and_gate = heads(q_.forward(x), 2 * head_dim).split(head_dim, 2);
  const at::Tensor query = rotated(query_and_gate[0], q_norm_), key = rotated(heads(k_.forward(x), head_dim), k_norm_);
  const at::Tensor attended = nn::attend(query, key, heads(v_.forward(x), head_dim), context, layer);
  const at::Tensor gated = attended * at::sigmoid(query_and_gate[1].flatten(1));
  return context.seams.tensor.leave(o_.forward(gated).to(at::kFloat));
}

}  // namespace sluice::models
