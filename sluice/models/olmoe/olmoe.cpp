#include "sluice/models/olmoe/olmoe.h"

#include "sluice/models/decoder.h"
#include "sluice/models/mixture.h"
#include "sluice/models/olmoe/config.h"
#include "sluice/nn/attention.h"
#include "sluice/nn/experts.h"
#include "sluice/nn/linear.h"
#include "sluice/nn/norm.h"
#include "sluice/nn/rope.h"
#include "sluice/nn/router.h"

namespace sluice::models {
namespace {

class OlmoeBlock final : public Block {
 public:
  OlmoeBlock(const OlmoeConfig& config, nn::ParameterStore& store, std::int64_t layer, const nn::RopeTable& rope)
      : OlmoeBlock(config, store, layer, rope, "layers." + std::to_string(layer) + ".") {}

  BlockOutput forward(const at::Tensor& hidden, const nn::ForwardContext& context) const override {
    const at::Tensor after_attention = hidden + attention(hidden, context);
    const at::Tensor normed = nn::rms_norm(after_attention, post_attention_norm_, config_.rms_norm_eps, precision());
    const nn::TopKWeights weights = config_.norm_topk_prob ? nn::TopKWeights::kNormalised : nn::TopKWeights::kAsTheyAre;
    const auto route = [this, weights](const at::Tensor& x) { return nn::route_softmax_top_k(nn::router_logits(x, gate_), config_.num_experts_per_tok, weights); };
    MixtureOutput mixture = run_experts(normed, route, experts_, nn::Scoring::kSoftmax, context);
    return {after_attention + mixture.hidden, std::move(mixture.router)};
  }

 private:
  OlmoeBlock(const OlmoeConfig& config, nn::ParameterStore& store, std::int64_t layer, const nn::RopeTable& rope, const std::string& at)
      : config_(config), layer_(layer), rope_(rope), input_norm_(store.at(at + "input_norm.weight")), q_(store, at + "attention.q_proj"),
        k_(store, at + "attention.k_proj"), v_(store, at + "attention.v_proj"), o_(store, at + "attention.o_proj"),
        q_norm_(store.at(at + "attention.q_norm.weight")), k_norm_(store.at(at + "attention.k_norm.weight")),
        post_attention_norm_(store.at(at + "post_attention_norm.weight")), gate_(store.at(at + "router.weight")),
        experts_({store.at(at + "experts.gate_up.weight"), store.at(at + "experts.down.weight")}) {}

  at::ScalarType precision() const { return q_.weight().value.scalar_type(); }

  // [tokens, hidden] float32 -> the same. Whole on every rank of a tensor split: its norms go over all heads.
  at::Tensor attention(const at::Tensor& hidden, const nn::ForwardContext& context) const {
    const at::Tensor normed = context.seams.tensor.enter(nn::rms_norm(hidden, input_norm_, config_.rms_norm_eps, precision()));
    const nn::Positions positions = context.positions();
    const auto clipped = [&](const at::Tensor& x) { return config_.clip_qkv ? x.clamp(-*config_.clip_qkv, *config_.clip_qkv) : x; };
    const auto heads = [&](const at::Tensor& x) { return clipped(x).view({context.shape.tokens(), -1, config_.head_size()}); };
    const at::Tensor q = nn::rms_norm(q_.forward(normed), q_norm_, config_.rms_norm_eps, precision());
    const at::Tensor k = nn::rms_norm(k_.forward(normed), k_norm_, config_.rms_norm_eps, precision());
    const at::Tensor query = nn::apply_rope(heads(q), rope_, positions), key = nn::apply_rope(heads(k), rope_, positions);
    return context.seams.tensor.leave_whole(o_.forward(nn::attend(query, key, heads(v_.forward(normed)), context, layer_)).to(at::kFloat));
  }

  const OlmoeConfig& config_;
  std::int64_t layer_;
  const nn::RopeTable& rope_;
  const nn::Parameter& input_norm_;
  nn::Linear q_, k_, v_, o_;
  const nn::Parameter &q_norm_, &k_norm_, &post_attention_norm_, &gate_;
  nn::Experts experts_;
};

}  // namespace

Architecture olmoe() {
  return {"olmoe", "OlmoeForCausalLM", [] { return std::make_unique<OlmoeConfig>(); }};
}

std::unique_ptr<Model> OlmoeConfig::build(nn::ParameterStore& store) const { return std::make_unique<Decoder<OlmoeConfig, OlmoeBlock>>(*this, store); }

}  // namespace sluice::models
