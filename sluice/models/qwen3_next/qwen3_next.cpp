#include "sluice/models/qwen3_next/qwen3_next.h"

#include <variant>

#include "sluice/models/multi_token.h"
#include "sluice/models/qwen3_next/config.h"
#include "sluice/models/qwen3_next/gated_attention.h"
#include "sluice/nn/attention.h"
#include "sluice/nn/gated_delta_net.h"
#include "sluice/nn/linear.h"
#include "sluice/nn/norm.h"

namespace sluice::models {
namespace {

using TokenMixer = std::variant<GatedAttention, nn::GatedDeltaNet>;

class Qwen3NextBlock final : public Block {
 public:
  // Of the parameters under `at` ("layers.3."); `layer` is its place in the cache.
  Qwen3NextBlock(const Qwen3NextConfig& config, nn::ParameterStore& store, std::int64_t layer, const std::string& at, TokenMixer mixer)
      : config_(config), layer_(layer), input_norm_(store.at(at + "input_norm.weight")), mixer_(std::move(mixer)),
        post_attention_norm_(store.at(at + "post_attention_norm.weight")), feed_forward_(config, store, at) {}

  BlockOutput forward(const at::Tensor& hidden, const nn::ForwardContext& context) const override {
    const at::Tensor normed = normed_by(hidden, input_norm_);
    const at::Tensor mixed = hidden + std::visit([&](const auto& mixer) { return mixer.forward(normed, context, layer_); }, mixer_);
    BlockOutput out = feed_forward_.forward(normed_by(mixed, post_attention_norm_), context);
    return {mixed + out.hidden, std::move(out.router)};
  }

 private:
  at::Tensor normed_by(const at::Tensor& hidden, const nn::Parameter& weight) const {
    return nn::zero_centred_rms_norm(hidden, weight, config_.rms_norm_eps, feed_forward_.precision());
  }

  const Qwen3NextConfig& config_;
  std::int64_t layer_;
  const nn::Parameter& input_norm_;
  TokenMixer mixer_;
  const nn::Parameter& post_attention_norm_;
  QwenFeedForward feed_forward_;
};

// One more block with attention, after a projection of [embedding of the next token, final hidden state]; embedding and head are the model's.
class Qwen3NextPredictor final : public MultiTokenPredictor {
 public:
  Qwen3NextPredictor(const Qwen3NextConfig& config, nn::ParameterStore& store, const nn::RopeTable& rope)
      : config_(config), embedding_(store.at("embedding.weight")), embedding_norm_(store.at(kPredictor + "embedding_norm.weight")),
        hidden_norm_(store.at(kPredictor + "hidden_norm.weight")), projection_(store, kPredictor + "projection"),
        block_(config, store, config.num_hidden_layers, kPredictor, GatedAttention(config, store, rope, kPredictor + "attention")),
        norm_(store.at(kPredictor + "norm.weight")) {}

  BlockOutput forward(const at::Tensor& hidden, const at::Tensor& next_ids, const nn::ForwardContext& context) const override {
    const at::Tensor next = normed_by(context.seams.tensor.leave(nn::embedding(next_ids, embedding_)), embedding_norm_);
    const at::Tensor joined = at::cat({next, normed_by(hidden, hidden_norm_)}, 1);  // [tokens, 2 * hidden]
    BlockOutput out = block_.forward(projection_.forward(joined).to(at::kFloat), context);
    return {normed_by(out.hidden, norm_), std::move(out.router)};
  }

 private:
  at::Tensor normed_by(const at::Tensor& hidden, const nn::Parameter& weight) const {
    return nn::zero_centred_rms_norm(hidden, weight, config_.rms_norm_eps, projection_.weight().value.scalar_type());
  }

  const Qwen3NextConfig& config_;
  const nn::Parameter &embedding_, &embedding_norm_, &hidden_norm_;
  nn::Linear projection_;
  Qwen3NextBlock block_;
  const nn::Parameter& norm_;
};

class Qwen3Next final : public Model {
 public:
  Qwen3Next(const Qwen3NextConfig& config, nn::ParameterStore& store)
      : config_(config), rope_(config.rope_table(config.rotary())), embedding_(store.at("embedding.weight")), norm_(store.at("norm.weight")),
        head_(config.tie_word_embeddings ? embedding_ : store.at("head.weight")) {
    for (std::int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
      const std::string at = "layers." + std::to_string(layer) + ".";
      TokenMixer mixer = config.has_attention(layer) ? TokenMixer(GatedAttention(config_, store, rope_, at + "attention"))
                                                     : TokenMixer(nn::GatedDeltaNet(store, at + "delta_net", config.delta_net()));
      blocks_.push_back(std::make_unique<Qwen3NextBlock>(config_, store, layer, at, std::move(mixer)));
    }
    if (config.num_nextn_predict_layers > 0) predictor_ = std::make_unique<Qwen3NextPredictor>(config_, store, rope_);
  }

  at::Tensor embed(const at::Tensor& ids, const nn::ForwardContext& context) const override { return context.seams.tensor.leave(nn::embedding(ids, embedding_)); }
  const std::vector<std::unique_ptr<Block>>& blocks() const override { return blocks_; }
  at::Tensor final_norm(const at::Tensor& hidden) const override {
    return nn::zero_centred_rms_norm(hidden, norm_, config_.rms_norm_eps, head_.value.scalar_type());
  }
  nn::Head own_head() const override { return {head_}; }
  const MultiTokenPredictor* multi_token_predictor() const override { return predictor_.get(); }

  nn::KvCache make_cache(std::int64_t rows, std::int64_t capacity) const override {
    const nn::CacheShape shape{rows, config_.kv_heads(), capacity, config_.head_size(), config_.head_size()};
    const at::ScalarType dtype = head_.value.scalar_type();
    nn::KvCache cache;
    for (std::int64_t layer = 0; layer < config_.num_hidden_layers; ++layer) {
      cache.layers.push_back(config_.has_attention(layer) ? nn::make_layer_cache(shape, dtype) : nn::make_delta_net_cache(config_.delta_net(), rows, dtype));
    }
    return cache;
  }

 private:
  const Qwen3NextConfig config_;  // a copy: blocks refer to it
  const nn::RopeTable rope_;
  const nn::Parameter &embedding_, &norm_, &head_;
  std::vector<std::unique_ptr<Block>> blocks_;
  std::unique_ptr<Qwen3NextPredictor> predictor_;
};

}  // namespace

Architecture qwen3_next() {
  return {"qwen3_next", "Qwen3NextForCausalLM", [] { return std::make_unique<Qwen3NextConfig>(); }};
}

std::unique_ptr<Model> Qwen3NextConfig::build(nn::ParameterStore& store) const { return std::make_unique<Qwen3Next>(*this, store); }

}  // namespace sluice::models
