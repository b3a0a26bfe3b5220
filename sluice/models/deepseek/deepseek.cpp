#include "sluice/models/deepseek/deepseek.h"

#include "sluice/models/deepseek/config.h"
#include "sluice/models/feed_forward.h"
#include "sluice/models/mixture.h"
#include "sluice/models/multi_token.h"
#include "sluice/nn/experts.h"
#include "sluice/nn/linear.h"
#include "sluice/nn/mlp.h"
#include "sluice/nn/norm.h"
#include "sluice/nn/rope.h"
#include "sluice/nn/router.h"

namespace sluice::models {
namespace {

// DeepSeek-V2: softmax over all experts; weights are the probabilities times the factor.
class SoftmaxRouter {
 public:
  static constexpr nn::Scoring kScoring = nn::Scoring::kSoftmax;
  SoftmaxRouter(const DeepseekV2Config& config, nn::ParameterStore& store, const std::string& at)
      : top_k_(config.num_experts_per_tok), scale_(config.routed_scaling_factor), gate_(store.at(at + "router.weight")) {
    if (config.topk_method == TopkMethod::kGroupLimitedGreedy) groups_ = {*config.n_group, *config.topk_group};
  }
  nn::Routing route(const at::Tensor& hidden) const { return nn::route_softmax_in_groups(nn::router_logits(hidden, gate_), top_k_, groups_, scale_); }

 private:
  std::int64_t top_k_;
  double scale_;
  nn::ExpertGroups groups_;
  const nn::Parameter& gate_;
};

// DeepSeek-V3: a sigmoid for each expert, and a correction bias that keeps the experts equally loaded.
class SigmoidRouter {
 public:
  static constexpr nn::Scoring kScoring = nn::Scoring::kSigmoid;
  SigmoidRouter(const DeepseekV3Config& config, nn::ParameterStore& store, const std::string& at)
      : top_k_(config.num_experts_per_tok), scale_(config.routed_scaling_factor), groups_{config.n_group, config.topk_group},
        weights_(config.norm_topk_prob ? nn::TopKWeights::kNormalised : nn::TopKWeights::kAsTheyAre), gate_(store.at(at + "router.weight")),
        correction_bias_(store.at(at + "router.correction_bias")) {}
  nn::Routing route(const at::Tensor& hidden) const {
    return nn::route_sigmoid_in_groups(nn::router_logits(hidden, gate_), correction_bias_, top_k_, groups_, weights_, scale_);
  }

 private:
  std::int64_t top_k_;
  double scale_;
  nn::ExpertGroups groups_;
  nn::TopKWeights weights_;
  const nn::Parameter &gate_, &correction_bias_;
};

template <class Router>
class Mixture final : public FeedForward {
 public:
  Mixture(Router router, nn::ParameterStore& store, const std::string& at)
      : router_(std::move(router)), experts_({store.at(at + "experts.gate_up.weight"), store.at(at + "experts.down.weight")}),
        shared_expert_(store, at + "shared_expert", nn::Activation::kSilu) {}
  BlockOutput forward(const at::Tensor& normed, const nn::ForwardContext& context) const override {
    MixtureOutput mixture = run_experts(normed, [this](const at::Tensor& x) { return router_.route(x); }, experts_, Router::kScoring, context,
                                        [this](const at::Tensor& x) { return shared_expert_.forward(x).to(at::kFloat); });
    return {std::move(mixture.hidden), std::move(mixture.router)};
  }

 private:
  Router router_;
  nn::Experts experts_;
  nn::GatedMlp shared_expert_;
};

class DeepseekBlock final : public Block {
 public:
  DeepseekBlock(nn::ParameterStore& store, const std::string& at, double eps, LatentAttention attention, std::unique_ptr<FeedForward> feed_forward)
      : eps_(eps), precision_(store.at(at + "attention.o_proj.weight").value.scalar_type()), input_norm_(store.at(at + "input_norm.weight")),
        post_attention_norm_(store.at(at + "post_attention_norm.weight")), attention_(std::move(attention)), feed_forward_(std::move(feed_forward)) {}

  BlockOutput forward(const at::Tensor& hidden, const nn::ForwardContext& context) const override {
    const at::Tensor normed = context.seams.tensor.enter(nn::rms_norm(hidden, input_norm_, eps_, precision_));
    const at::Tensor after_attention = hidden + context.seams.tensor.leave(attention_.forward(normed, context).to(at::kFloat));
    BlockOutput out = feed_forward_->forward(nn::rms_norm(after_attention, post_attention_norm_, eps_, precision_), context);
    return {after_attention + out.hidden, std::move(out.router)};
  }

 private:
  double eps_;
  at::ScalarType precision_;
  const nn::Parameter &input_norm_, &post_attention_norm_;
  LatentAttention attention_;
  std::unique_ptr<FeedForward> feed_forward_;
};

template <class Config, class Router>
class Deepseek final : public Model {
 public:
  Deepseek(const Config& config, nn::ParameterStore& store)
      : config_(config), rope_(config.rope_table(config.qk_rope_head_dim)), embedding_(store.at("embedding.weight")), norm_(store.at("norm.weight")),
        head_(config.tie_word_embeddings ? embedding_ : store.at("head.weight")) {
    for (std::int64_t layer = 0; layer < config.num_hidden_layers; ++layer) blocks_.push_back(make_block(store, layer, "layers." + std::to_string(layer) + "."));
    if (config.num_predictors() > 0) {
      predictor_ = std::make_unique<BlockPredictor>(store, embedding_, config.rms_norm_eps, make_block(store, config.num_hidden_layers, kPredictor));
    }
  }

  at::Tensor embed(const at::Tensor& ids, const nn::ForwardContext& context) const override { return context.seams.tensor.leave(nn::embedding(ids, embedding_)); }
  const std::vector<std::unique_ptr<Block>>& blocks() const override { return blocks_; }
  at::Tensor final_norm(const at::Tensor& hidden) const override { return nn::rms_norm(hidden, norm_, config_.rms_norm_eps, head_.value.scalar_type()); }
  nn::Head own_head() const override { return {head_}; }
  const MultiTokenPredictor* multi_token_predictor() const override { return predictor_.get(); }

  nn::KvCache make_cache(std::int64_t rows, std::int64_t capacity) const override {
    nn::KvCache cache;
    for (std::int64_t layer = 0; layer < config_.num_hidden_layers; ++layer) {
      cache.layers.push_back(make_latent_cache(config_.attention_sizes(), rows, capacity, head_.value.scalar_type()));
    }
    return cache;
  }

 private:
  std::unique_ptr<Block> make_block(nn::ParameterStore& store, std::int64_t layer, const std::string& at) const {
    std::unique_ptr<FeedForward> feed_forward;
    if (layer < config_.first_k_dense_replace) feed_forward = std::make_unique<DenseFeedForward>(store, at);
    else feed_forward = std::make_unique<Mixture<Router>>(Router(config_, store, at), store, at);
    LatentAttention attention(config_.attention_sizes(), store, at + "attention", layer, rope_);
    return std::make_unique<DeepseekBlock>(store, at, config_.rms_norm_eps, std::move(attention), std::move(feed_forward));
  }

  const Config config_;
  const nn::RopeTable rope_;
  const nn::Parameter &embedding_, &norm_, &head_;
  std::vector<std::unique_ptr<Block>> blocks_;
  std::unique_ptr<MultiTokenPredictor> predictor_;
};

}  // namespace

Architecture deepseek_v2() {
  return {"deepseek_v2", "DeepseekV2ForCausalLM", [] { return std::make_unique<DeepseekV2Config>(); }};
}

Architecture deepseek_v3() {
  return {"deepseek_v3", "DeepseekV3ForCausalLM", [] { return std::make_unique<DeepseekV3Config>(); }};
}

std::unique_ptr<Model> DeepseekV2Config::build(nn::ParameterStore& store) const { return std::make_unique<Deepseek<DeepseekV2Config, SoftmaxRouter>>(*this, store); }
std::unique_ptr<Model> DeepseekV3Config::build(nn::ParameterStore& store) const { return std::make_unique<Deepseek<DeepseekV3Config, SigmoidRouter>>(*this, store); }

}  // namespace sluice::models
