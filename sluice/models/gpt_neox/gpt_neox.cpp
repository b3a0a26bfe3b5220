#include "sluice/models/gpt_neox/gpt_neox.h"

#include "sluice/models/gpt_neox/config.h"
#include "sluice/nn/attention.h"
#include "sluice/nn/linear.h"
#include "sluice/nn/norm.h"
#include "sluice/nn/recompute.h"
#include "sluice/nn/rope.h"

namespace sluice::models {
namespace {

struct LayerNorm {
  const nn::Parameter &weight, &bias;
  double eps;

  LayerNorm(const GptNeoxConfig& config, nn::ParameterStore& store, const std::string& name)
      : weight(store.at(name + ".weight")), bias(store.at(name + ".bias")), eps(config.layer_norm_eps) {}
  at::Tensor forward(const at::Tensor& x, at::ScalarType out) const { return nn::layer_norm(x, weight, bias, eps, out); }
};

class GptNeoxBlock final : public Block {
 public:
  GptNeoxBlock(const GptNeoxConfig& config, nn::ParameterStore& store, std::int64_t layer, const nn::RopeTable& rope)
      : GptNeoxBlock(config, store, layer, rope, "layers." + std::to_string(layer) + ".") {}

  // Side by side: x + attention(norm1(x)) + mlp(norm2(x)) (arXiv:2204.06745, section 2.1); else one after the other.
  BlockOutput forward(const at::Tensor& hidden, const nn::ForwardContext& context) const override {
    const at::Tensor after_attention = hidden + attention(hidden, context);
    const at::Tensor& mlp_input = config_.use_parallel_residual ? hidden : after_attention;
    return {after_attention + mlp(mlp_input, context), std::nullopt};
  }

 private:
  GptNeoxBlock(const GptNeoxConfig& config, nn::ParameterStore& store, std::int64_t layer, const nn::RopeTable& rope, const std::string& at)
      : config_(config), layer_(layer), rope_(rope), input_norm_(config, store, at + "input_norm"), qkv_(store, at + "attention.qkv_proj"),
        o_(store, at + "attention.o_proj"), post_attention_norm_(config, store, at + "post_attention_norm"), up_(store, at + "mlp.up_proj"),
        down_(store, at + "mlp.down_proj") {}

  at::ScalarType precision() const { return qkv_.weight().value.scalar_type(); }

  // [tokens, hidden] float32 -> the same
  at::Tensor attention(const at::Tensor& hidden, const nn::ForwardContext& context) const {
    const at::Tensor normed = context.seams.tensor.enter(input_norm_.forward(hidden, precision()));
    const at::Tensor qkv = qkv_.forward(normed).view({context.shape.tokens(), -1, 3, config_.head_size()});
    const auto rotated = [&](const at::Tensor& x) { return nn::apply_rope(x, rope_, context.positions()); };
    const at::Tensor out = nn::attend(rotated(qkv.select(2, 0)), rotated(qkv.select(2, 1)), qkv.select(2, 2), context, layer_);
    return context.seams.tensor.leave(o_.forward(out).to(at::kFloat));
  }

  // [tokens, hidden] float32 -> the same
  at::Tensor mlp(const at::Tensor& hidden, const nn::ForwardContext& context) const {
    const at::Tensor normed = context.seams.tensor.enter(post_attention_norm_.forward(hidden, precision()));
    const at::Tensor out = nn::recomputed(nn::Module::kMlp, normed, [this](const at::Tensor& in) {
      return down_.forward(nn::activate(up_.forward(in), computed(config_.hidden_act)));
    });
    return context.seams.tensor.leave(out.to(at::kFloat));
  }

  const GptNeoxConfig& config_;
  std::int64_t layer_;
  const nn::RopeTable& rope_;
  LayerNorm input_norm_;
  nn::Linear qkv_, o_;
  LayerNorm post_attention_norm_;
  nn::Linear up_, down_;
};

class GptNeox final : public Model {
 public:
  GptNeox(const GptNeoxConfig& config, nn::ParameterStore& store)
      : config_(config), rope_(nn::make_rope_table(config.max_position_embeddings, config.rotary_size(), config.rotary_emb_base, config.rope_scaling)),
        embedding_(store.at("embedding.weight")), norm_(config, store, "norm"),
        head_(config.tie_word_embeddings ? embedding_ : store.at("head.weight")) {
    for (std::int64_t layer = 0; layer < config.num_hidden_layers; ++layer) blocks_.push_back(std::make_unique<GptNeoxBlock>(config_, store, layer, rope_));
  }

  at::Tensor embed(const at::Tensor& ids, const nn::ForwardContext& context) const override { return context.seams.tensor.leave(nn::embedding(ids, embedding_)); }
  const std::vector<std::unique_ptr<Block>>& blocks() const override { return blocks_; }
  at::Tensor final_norm(const at::Tensor& hidden) const override { return norm_.forward(hidden, head_.value.scalar_type()); }
  nn::Head own_head() const override { return {head_}; }

  nn::KvCache make_cache(std::int64_t rows, std::int64_t capacity) const override {
    return nn::make_attention_cache({rows, config_.num_attention_heads, capacity, config_.head_size(), config_.head_size()}, config_.num_hidden_layers, head_.value.scalar_type());
  }

 private:
  const GptNeoxConfig config_;  // a copy: blocks refer to it
  const nn::RopeTable rope_;
  const nn::Parameter& embedding_;
  LayerNorm norm_;
  const nn::Parameter& head_;
  std::vector<std::unique_ptr<Block>> blocks_;
};

}  // namespace

Architecture gpt_neox() {
  return {"gpt_neox", "GPTNeoXForCausalLM", [] { return std::make_unique<GptNeoxConfig>(); }};
}

std::unique_ptr<Model> GptNeoxConfig::build(nn::ParameterStore& store) const { return std::make_unique<GptNeox>(*this, store); }

}  // namespace sluice::models
