#include "sluice/models/decoder.h"
#include "sluice/models/qwen_moe/config.h"
#include "sluice/models/qwen_moe/qwen_moe.h"
#include "sluice/nn/attention.h"
#include "sluice/nn/linear.h"
#include "sluice/nn/norm.h"
#include "sluice/nn/rope.h"

namespace sluice::models {
namespace {

class Qwen3MoeBlock final : public Block {
 public:
  Qwen3MoeBlock(const Qwen3MoeConfig& config, nn::ParameterStore& store, std::int64_t layer, const nn::RopeTable& rope)
      : Qwen3MoeBlock(config, store, layer, rope, "layers." + std::to_string(layer) + ".") {}

  BlockOutput forward(const at::Tensor& hidden, const nn::ForwardContext& context) const override {
    const at::Tensor after_attention = hidden + attention(hidden, context);
    BlockOutput out = feed_forward_.forward(nn::rms_norm(after_attention, post_attention_norm_, config_.rms_norm_eps, precision()), context);
    return {after_attention + out.hidden, std::move(out.router)};
  }

 private:
  Qwen3MoeBlock(const Qwen3MoeConfig& config, nn::ParameterStore& store, std::int64_t layer, const nn::RopeTable& rope, const std::string& at)
      : config_(config), layer_(layer), rope_(rope), input_norm_(store.at(at + "input_norm.weight")), q_(store, at + "attention.q_proj"),
        k_(store, at + "attention.k_proj"), v_(store, at + "attention.v_proj"), o_(store, at + "attention.o_proj"),
        q_norm_(store.at(at + "attention.q_norm.weight")), k_norm_(store.at(at + "attention.k_norm.weight")),
        post_attention_norm_(store.at(at + "post_attention_norm.weight")), feed_forward_(config, store, at) {}

  at::ScalarType precision() const { return q_.weight().value.scalar_type(); }

  // [tokens, hidden] float32 -> the same
  at::Tensor attention(const at::Tensor& hidden, const nn::ForwardContext& context) const {
    const at::Tensor normed = context.seams.tensor.enter(nn::rms_norm(hidden, input_norm_, config_.rms_norm_eps, precision()));
    const nn::Positions positions = context.positions();
    const auto heads = [&](const nn::Linear& linear) { return linear.forward(normed).view({context.shape.tokens(), -1, config_.head_size()}); };
    const auto per_head = [&](const at::Tensor& x, const nn::Parameter& weight) { return nn::rms_norm(x, weight, config_.rms_norm_eps, precision()); };
    const at::Tensor query = nn::apply_rope(per_head(heads(q_), q_norm_), rope_, positions);
    const at::Tensor key = nn::apply_rope(per_head(heads(k_), k_norm_), rope_, positions);
    const nn::AttentionOptions options{.window = config_.use_sliding_window ? config_.sliding_window.value_or(0) : 0};
    return context.seams.tensor.leave(o_.forward(nn::attend(query, key, heads(v_), context, layer_, options)).to(at::kFloat));
  }

  const Qwen3MoeConfig& config_;
  std::int64_t layer_;
  const nn::RopeTable& rope_;
  const nn::Parameter& input_norm_;
  nn::Linear q_, k_, v_, o_;
  const nn::Parameter &q_norm_, &k_norm_, &post_attention_norm_;
  QwenFeedForward feed_forward_;
};

}  // namespace

Architecture qwen3_moe() {
  return {"qwen3_moe", "Qwen3MoeForCausalLM", [] { return std::make_unique<Qwen3MoeConfig>(); }};
}

std::unique_ptr<Model> Qwen3MoeConfig::build(nn::ParameterStore& store) const { return std::make_unique<Decoder<Qwen3MoeConfig, Qwen3MoeBlock>>(*this, store); }

}  // namespace sluice::models
