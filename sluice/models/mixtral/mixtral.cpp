#include "sluice/models/mixtral/mixtral.h"

#include "sluice/models/mixtral/config.h"
#include "sluice/nn/attention.h"
#include "sluice/nn/experts.h"
#include "sluice/nn/linear.h"
#include "sluice/nn/norm.h"
#include "sluice/nn/rope.h"
#include "sluice/nn/router.h"

namespace sluice::models {
namespace {

class MixtralBlock final : public Block {
 public:
  MixtralBlock(const MixtralConfig& config, nn::ParameterStore& store, std::int64_t layer, const nn::RopeTable& rope)
      : config_(config), layer_(layer), rope_(rope), input_norm_(of(store, "input_norm.weight")), q_(of(store, "attention.q_proj.weight")),
        k_(of(store, "attention.k_proj.weight")), v_(of(store, "attention.v_proj.weight")), o_(of(store, "attention.o_proj.weight")),
        post_attention_norm_(of(store, "post_attention_norm.weight")), gate_(of(store, "router.weight")),
        experts_(of(store, "experts.gate_up.weight"), of(store, "experts.down.weight")) {}

  BlockOutput forward(const at::Tensor& hidden, const nn::ForwardContext& context) const override {
    const at::Tensor after_attention = hidden + attention(hidden, context);
    const at::Tensor normed = context.seams.tensor.enter(nn::rms_norm(after_attention, post_attention_norm_, config_.rms_norm_eps, precision()));
    const at::Tensor logits = nn::router_logits(normed, gate_);
    nn::Routing routing = nn::route_softmax_top_k_normalised(logits, config_.num_experts_per_tok);
    const at::Tensor chosen = routing.experts;
    if (context.expert_capacity_factor > 0) nn::drop_beyond_capacity(routing, context.shape.real, config_.num_local_experts, context.expert_capacity_factor);
    const at::Tensor mixed = context.seams.tensor.leave(context.seams.dispatcher.forward(normed, routing, experts_));
    return {after_attention + mixed, nn::RouterRecord{logits, chosen, routing.experts}};
  }

 private:
  nn::Parameter& of(nn::ParameterStore& store, const std::string& name) const { return store.at("layers." + std::to_string(layer_) + "." + name); }
  at::ScalarType precision() const { return q_.value.scalar_type(); }

  // [tokens, hidden] float32 -> the same
  at::Tensor attention(const at::Tensor& hidden, const nn::ForwardContext& context) const {
    const at::Tensor normed = context.seams.tensor.enter(nn::rms_norm(hidden, input_norm_, config_.rms_norm_eps, precision()));
    const std::int64_t seq = context.shape.seq, head_dim = config_.head_size(), first = context.first_position();
    const auto heads = [&](const nn::Parameter& weight) { return nn::linear(normed, weight).view({context.shape.tokens(), -1, head_dim}); };
    const at::Tensor query = nn::apply_rope(heads(q_), rope_, seq, first), key = nn::apply_rope(heads(k_), rope_, seq, first), value = heads(v_);
    const at::Tensor mixed = context.cache ? nn::cached_attention(query, key, value, context.shape, *context.cache, layer_)
                                           : context.seams.attention.forward(query, key, value, context.shape);
    return context.seams.tensor.leave(nn::linear(mixed, o_).to(at::kFloat));
  }

  const MixtralConfig& config_;
  std::int64_t layer_;
  const nn::RopeTable& rope_;
  const nn::Parameter &input_norm_, &q_, &k_, &v_, &o_, &post_attention_norm_, &gate_;
  nn::Experts experts_;
};

class Mixtral final : public Model {
 public:
  Mixtral(const MixtralConfig& config, nn::ParameterStore& store)
      : config_(config), rope_(nn::make_rope_table(config.max_position_embeddings, config.head_size(), config.rope_theta)),
        embedding_(store.at("embedding.weight")), norm_(store.at("norm.weight")), head_(config.tie_word_embeddings ? embedding_ : store.at("head.weight")) {
    for (std::int64_t layer = 0; layer < config.num_hidden_layers; ++layer) blocks_.push_back(std::make_unique<MixtralBlock>(config_, store, layer, rope_));
  }

  at::Tensor embed(const at::Tensor& ids, const nn::ForwardContext&) const override { return nn::embedding(ids, embedding_); }
  const std::vector<std::unique_ptr<Block>>& blocks() const override { return blocks_; }
  at::Tensor final_norm(const at::Tensor& hidden) const override { return nn::rms_norm(hidden, norm_, config_.rms_norm_eps, head_.value.scalar_type()); }
  const nn::Parameter& head() const override { return head_; }

  nn::KvCache make_cache(std::int64_t rows, std::int64_t capacity) const override {
    nn::KvCache cache;
    for (std::int64_t layer = 0; layer < config_.num_hidden_layers; ++layer) {
      const auto make = [&] { return at::empty({rows, config_.num_key_value_heads, capacity, config_.head_size()}, head_.value.options().requires_grad(false)); };
      cache.keys.push_back(make());
      cache.values.push_back(make());
    }
    return cache;
  }

 private:
  const MixtralConfig config_;  // a copy: blocks refer to it
  const nn::RopeTable rope_;
  const nn::Parameter &embedding_, &norm_, &head_;
  std::vector<std::unique_ptr<Block>> blocks_;
};

}  // namespace

Architecture mixtral() {
  return {"mixtral", "MixtralForCausalLM", [] { return std::make_unique<MixtralConfig>(); }};
}

std::unique_ptr<Model> MixtralConfig::build(nn::ParameterStore& store) const { return std::make_unique<Mixtral>(*this, store); }

}  // namespace sluice::models
