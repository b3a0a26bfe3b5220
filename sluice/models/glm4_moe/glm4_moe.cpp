#include "sluice/models/glm4_moe/glm4_moe.h"

#include "sluice/models/feed_forward.h"
#include "sluice/models/glm4_moe/config.h"
#include "sluice/models/mixture.h"
#include "sluice/models/multi_token.h"
#include "sluice/nn/attention.h"
#include "sluice/nn/experts.h"
#include "sluice/nn/linear.h"
#include "sluice/nn/mlp.h"
#include "sluice/nn/norm.h"
#include "sluice/nn/rope.h"
#include "sluice/nn/router.h"

namespace sluice::models {
namespace {

class Attention {
 public:
  Attention(const Glm4MoeConfig& config, nn::ParameterStore& store, const std::string& at, std::int64_t layer, const nn::RopeTable& rope)
      : config_(config), layer_(layer), rope_(rope), q_(store, at + ".q_proj"), k_(store, at + ".k_proj"), v_(store, at + ".v_proj"), o_(store, at + ".o_proj"),
        q_norm_(store.find(at + ".q_norm.weight")), k_norm_(store.find(at + ".k_norm.weight")) {}

  // normed [tokens, hidden] -> [tokens, hidden], float32
  at::Tensor forward(const at::Tensor& normed, const nn::ForwardContext& context) const {
    const auto heads = [&](const nn::Linear& linear) { return linear.forward(normed).view({context.shape.tokens(), -1, config_.head_size()}); };
    const auto rotated = [&](const nn::Linear& linear, const nn::Parameter* norm) {
      const at::Tensor x = heads(linear);
      return nn::apply_rope(norm ? nn::rms_norm(x, *norm, config_.rms_norm_eps, x.scalar_type()) : x, rope_, context.positions());
    };
    return o_.forward(nn::attend(rotated(q_, q_norm_), rotated(k_, k_norm_), heads(v_), context, layer_)).to(at::kFloat);
  }

  at::ScalarType precision() const { return q_.weight().value.scalar_type(); }

 private:
  const Glm4MoeConfig& config_;
  std::int64_t layer_;
  const nn::RopeTable& rope_;
  nn::Linear q_, k_, v_, o_;
  const nn::Parameter *q_norm_, *k_norm_;  // null without use_qk_norm
};

class Mixture final : public FeedForward {
 public:
  Mixture(const Glm4MoeConfig& config, nn::ParameterStore& store, const std::string& at)
      : config_(config), gate_(store.at(at + "router.weight")), correction_bias_(store.at(at + "router.correction_bias")),
        experts_({store.at(at + "experts.gate_up.weight"), store.at(at + "experts.down.weight")}), shared_expert_(store, at + "shared_expert", nn::Activation::kSilu) {}

  BlockOutput forward(const at::Tensor& normed, const nn::ForwardContext& context) const override {
    const auto weights = config_.norm_topk_prob ? nn::TopKWeights::kNormalised : nn::TopKWeights::kAsTheyAre;
    const auto route = [this, weights](const at::Tensor& x) {
      return nn::route_sigmoid_in_groups(nn::router_logits(x, gate_), correction_bias_, config_.num_experts_per_tok, {config_.n_group, config_.topk_group}, weights,
                                         config_.routed_scaling_factor);
    };
    MixtureOutput mixture = run_experts(normed, route, experts_, nn::Scoring::kSigmoid, context, [this](const at::Tensor& x) { return shared_expert_.forward(x).to(at::kFloat); });
    return {std::move(mixture.hidden), std::move(mixture.router)};
  }

 private:
  const Glm4MoeConfig& config_;
  const nn::Parameter &gate_, &correction_bias_;
  nn::Experts experts_;
  nn::GatedMlp shared_expert_;
};

class Glm4MoeBlock final : public Block {
 public:
  Glm4MoeBlock(const Glm4MoeConfig& config, nn::ParameterStore& store, std::int64_t layer, const nn::RopeTable& rope, const std::string& at)
      : config_(config), input_norm_(store.at(at + "input_norm.weight")), post_attention_norm_(store.at(at + "post_attention_norm.weight")),
        attention_(config, store, at + "attention", layer, rope) {
    if (layer < config.first_k_dense_replace) feed_forward_ = std::make_unique<DenseFeedForward>(store, at);
    else feed_forward_ = std::make_unique<Mixture>(config, store, at);
  }

  BlockOutput forward(const at::Tensor& hidden, const nn::ForwardContext& context) const override {
    const at::Tensor normed = context.seams.tensor.enter(nn::rms_norm(hidden, input_norm_, config_.rms_norm_eps, attention_.precision()));
    const at::Tensor after_attention = hidden + context.seams.tensor.leave(attention_.forward(normed, context));
    const at::Tensor normed_again = nn::rms_norm(after_attention, post_attention_norm_, config_.rms_norm_eps, attention_.precision());
    BlockOutput out = feed_forward_->forward(normed_again, context);
    return {after_attention + out.hidden, std::move(out.router)};
  }

 private:
  const Glm4MoeConfig& config_;
  const nn::Parameter &input_norm_, &post_attention_norm_;
  Attention attention_;
  std::unique_ptr<FeedForward> feed_forward_;
};

class Glm4Moe final : public Model {
 public:
  Glm4Moe(const Glm4MoeConfig& config, nn::ParameterStore& store)
      : config_(config), rope_(config.rope_table(config.rotary())), embedding_(store.at("embedding.weight")), norm_(store.at("norm.weight")),
        head_(config.tie_word_embeddings ? embedding_ : store.at("head.weight")) {
    const std::int64_t layers = config.num_hidden_layers;
    for (std::int64_t layer = 0; layer < layers; ++layer) {
      blocks_.push_back(std::make_unique<Glm4MoeBlock>(config_, store, layer, rope_, "layers." + std::to_string(layer) + "."));
    }
    if (config.num_nextn_predict_layers > 0) {
      predictor_ = std::make_unique<BlockPredictor>(store, embedding_, config.rms_norm_eps, std::make_unique<Glm4MoeBlock>(config_, store, layers, rope_, kPredictor));
    }
  }

  at::Tensor embed(const at::Tensor& ids, const nn::ForwardContext& context) const override { return context.seams.tensor.leave(nn::embedding(ids, embedding_)); }
  const std::vector<std::unique_ptr<Block>>& blocks() const override { return blocks_; }
  at::Tensor final_norm(const at::Tensor& hidden) const override { return nn::rms_norm(hidden, norm_, config_.rms_norm_eps, head_.value.scalar_type()); }
  nn::Head own_head() const override { return {head_}; }
  const MultiTokenPredictor* multi_token_predictor() const override { return predictor_.get(); }

  nn::KvCache make_cache(std::int64_t rows, std::int64_t capacity) const override {
    return nn::make_attention_cache({rows, config_.kv_heads(), capacity, config_.head_size(), config_.head_size()}, config_.num_hidden_layers, head_.value.scalar_type());
  }

 private:
  const Glm4MoeConfig config_;  // a copy: blocks refer to it
  const nn::RopeTable rope_;
  const nn::Parameter &embedding_, &norm_, &head_;
  std::vector<std::unique_ptr<Block>> blocks_;
  std::unique_ptr<MultiTokenPredictor> predictor_;
};

}  // namespace

Architecture glm4_moe() {
  return {"glm4_moe", "Glm4MoeForCausalLM", [] { return std::make_unique<Glm4MoeConfig>(); }};
}

std::unique_ptr<Model> Glm4MoeConfig::build(nn::ParameterStore& store) const { return std::make_unique<Glm4Moe>(*this, store); }

}  // namespace sluice::models
