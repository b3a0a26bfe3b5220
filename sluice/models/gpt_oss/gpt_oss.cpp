#include "sluice/models/gpt_oss/gpt_oss.h"

#include "sluice/models/decoder.h"
#include "sluice/models/gpt_oss/config.h"
#include "sluice/models/mixture.h"
#include "sluice/nn/attention.h"
#include "sluice/nn/experts.h"
#include "sluice/nn/linear.h"
#include "sluice/nn/norm.h"
#include "sluice/nn/rope.h"
#include "sluice/nn/router.h"

namespace sluice::models {
namespace {

class GptOssBlock final : public Block {
 public:
  GptOssBlock(const GptOssConfig& config, nn::ParameterStore& store, std::int64_t layer, const nn::RopeTable& rope)
      : GptOssBlock(config, store, layer, rope, "layers." + std::to_string(layer) + ".") {}

  BlockOutput forward(const at::Tensor& hidden, const nn::ForwardContext& context) const override {
    const at::Tensor after_attention = hidden + attention(hidden, context);
    const at::Tensor normed = nn::rms_norm(after_attention, post_attention_norm_, config_.rms_norm_eps, precision());
    const auto route = [this](const at::Tensor& x) { return nn::route_top_k_softmax(nn::router_logits(x, gate_, &gate_bias_), config_.num_experts_per_tok); };
    MixtureOutput mixture = run_experts(normed, route, experts_, nn::Scoring::kSoftmax, context);
    return {after_attention + mixture.hidden, std::move(mixture.router)};
  }

 private:
  GptOssBlock(const GptOssConfig& config, nn::ParameterStore& store, std::int64_t layer, const nn::RopeTable& rope, const std::string& at)
      : config_(config), layer_(layer), window_(config.window(layer)), rope_(rope), input_norm_(store.at(at + "input_norm.weight")), q_(store, at + "attention.q_proj"),
        k_(store, at + "attention.k_proj"), v_(store, at + "attention.v_proj"), o_(store, at + "attention.o_proj"), sinks_(store.at(at + "attention.sinks")),
        post_attention_norm_(store.at(at + "post_attention_norm.weight")), gate_(store.at(at + "router.weight")), gate_bias_(store.at(at + "router.bias")),
        experts_({store.at(at + "experts.gate_up.weight"), store.at(at + "experts.down.weight"), &store.at(at + "experts.gate_up.bias"), &store.at(at + "experts.down.bias")},
                 nn::ExpertActivation::kClampedSwiglu) {}

  at::ScalarType precision() const { return q_.weight().value.scalar_type(); }

  // [tokens, hidden] float32 -> the same
  at::Tensor attention(const at::Tensor& hidden, const nn::ForwardContext& context) const {
    const at::Tensor normed = context.seams.tensor.enter(nn::rms_norm(hidden, input_norm_, config_.rms_norm_eps, precision()));
    const nn::Positions positions = context.positions();
    const auto heads = [&](const nn::Linear& linear) { return linear.forward(normed).view({context.shape.tokens(), -1, config_.head_size()}); };
    const at::Tensor query = nn::apply_rope(heads(q_), rope_, positions), key = nn::apply_rope(heads(k_), rope_, positions);
    const nn::AttentionOptions options{.window = window_, .sinks = &sinks_};
    return context.seams.tensor.leave(o_.forward(nn::attend(query, key, heads(v_), context, layer_, options)).to(at::kFloat));
  }

  const GptOssConfig& config_;
  std::int64_t layer_, window_;
  const nn::RopeTable& rope_;
  const nn::Parameter& input_norm_;
  nn::Linear q_, k_, v_, o_;
  const nn::Parameter &sinks_, &post_attention_norm_, &gate_, &gate_bias_;
  nn::Experts experts_;
};

}  // namespace

Architecture gpt_oss() {
  return {"gpt_oss", "GptOssForCausalLM", [] { return std::make_unique<GptOssConfig>(); }};
}

std::unique_ptr<Model> GptOssConfig::build(nn::ParameterStore& store) const { return std::make_unique<Decoder<GptOssConfig, GptOssBlock>>(*this, store); }

}  // namespace sluice::models
