#include "sluice/models/decoder.h"
#include "sluice/models/qwen_moe/config.h"
#include "sluice/models/qwen_moe/qwen_moe.h"
#include "sluice/nn/attention.h"
#include "sluice/nn/linear.h"
#include "sluice/nn/norm.h"
#include "sluice/nn/rope.h"

namespace sluice::models {
namespace {

class Qwen2MoeBlock final : public Block {
 public:
  Qwen2MoeBlock(const Qwen2MoeConfig& config, nn::ParameterStore& store, std::int64_t layer, const nn::RopeTable& rope)
      : Qwen2MoeBlock(config, store, layer, rope, "layers." + std::to_string(layer) + ".") {}

  BlockOutput forward(const at::Tensor& hidden, const nn::ForwardContext& context) const override {
    const at::Tensor after_attention = hidden + attention(hidden, context);
    BlockOutput out = feed_forward_.forward(nn::rms_norm(after_attention, post_attention_norm_, config_.rms_norm_eps, precision()), context);
    return {after_attention + out.hidden, std::move(out.router)};
  }

 private:
  Qwen2MoeBlock(const Qwen2MoeConfig& config, nn::ParameterStore& store, std::int64_t layer, const nn::RopeTable& rope, const std::string& at)
      : config_(config), layer_(layer), window_(config.window(layer)), rope_(rope), input_norm_(store.at(at + "input_norm.weight")), q_(store, at + "attention.q_proj"),
        k_(store, at + "attention.k_proj"), v_(store, at + "attention.v_proj"), o_(store, at + "attention.o_proj"),
        post_attention_norm_(store.at(at + "post_attention_norm.weight")), feed_forward_(config, store, at) {}

  at::ScalarType precision() const { return q_.weight().value.scalar_type(); }

  // [tokens, hidden] float32 -> the same
  at::Tensor attention(const at::Tensor& hidden, const nn::ForwardContext& context) const {
    const at::Tensor normed = context.seams.tensor.enter(nn::rms_norm(hidden, input_norm_, config_.rms_norm_eps, precision()));
    const nn::Positions positions = context.positions();
    const auto heads = [&](const nn::Linear& linear) { return linear.forward(normed).view({context.shape.tokens(), -1, config_.head_size()}); };
    const at::Tensor query = nn::apply_rope(heads(q_), rope_, positions), key = nn::apply_rope(heads(k_), rope_, positions);
    return context.seams.tensor.leave(o_.forward(nn::attend(query, key, heads(v_), context, layer_, {.window = window_})).to(at::kFloat));
  }

  const Qwen2MoeConfig& config_;
  std::int64_t layer_, window_;
  const nn::RopeTable& rope_;
  const nn::Parameter& input_norm_;
  nn::Linear q_, k_, v_, o_;
  const nn::Parameter& post_attention_norm_;
  QwenFeedForward feed_forward_;
};

}  // namespace

Architecture qwen2_moe() {
  return {"qwen2_moe", "Qwen2MoeForCausalLM", [] { return std::make_unique<Qwen2MoeConfig>(); }};
}

std::unique_ptr<Model> Qwen2MoeConfig::build(nn::ParameterStore& store) const { return std::make_unique<Decoder<Qwen2MoeConfig, Qwen2MoeBlock>>(*this, store); }

}  // namespace sluice::models
