#include "sluice/models/gpt2/gpt2.h"

#include <cmath>

#include "sluice/models/gpt2/config.h"
#include "sluice/nn/attention.h"
#include "sluice/nn/linear.h"
#include "sluice/nn/norm.h"
#include "sluice/nn/recompute.h"

namespace sluice::models {
namespace {

struct LayerNorm {
  const nn::Parameter &weight, &bias;
  double eps;

  LayerNorm(const Gpt2Config& config, nn::ParameterStore& store, const std::string& name)
      : weight(store.at(name + ".weight")), bias(store.at(name + ".bias")), eps(config.layer_norm_epsilon) {}
  at::Tensor forward(const at::Tensor& x, at::ScalarType out) const { return nn::layer_norm(x, weight, bias, eps, out); }
};

// Of attention's scores in one layer.
double score_scale(const Gpt2Config& config, std::int64_t layer) {
  const double scale = config.scale_attn_weights ? 1 / std::sqrt(static_cast<double>(config.head_size())) : 1;
  return config.scale_attn_by_inverse_layer_idx ? scale / static_cast<double>(layer + 1) : scale;
}

class Gpt2Block final : public Block {
 public:
  Gpt2Block(const Gpt2Config& config, nn::ParameterStore& store, std::int64_t layer)
      : Gpt2Block(config, store, layer, "layers." + std::to_string(layer) + ".") {}

  BlockOutput forward(const at::Tensor& hidden, const nn::ForwardContext& context) const override {
    const nn::TensorRegion& region = context.seams.tensor;
    const at::Tensor after_attention = hidden + region.leave(attention(region.enter(input_norm_.forward(hidden, precision())), context).to(at::kFloat));
    const at::Tensor normed = region.enter(post_attention_norm_.forward(after_attention, precision()));
    const at::Tensor mlp = nn::recomputed(nn::Module::kMlp, normed, [this](const at::Tensor& in) {
      return down_.forward(nn::activate(up_.forward(in), computed(config_.activation_function)));
    });
    return {after_attention + region.leave(mlp.to(at::kFloat)), std::nullopt};
  }

 private:
  Gpt2Block(const Gpt2Config& config, nn::ParameterStore& store, std::int64_t layer, const std::string& at)
      : config_(config), layer_(layer), input_norm_(config, store, at + "input_norm"), qkv_(store, at + "attention.qkv_proj"),
        o_(store, at + "attention.o_proj"), post_attention_norm_(config, store, at + "post_attention_norm"), up_(store, at + "mlp.up_proj"),
        down_(store, at + "mlp.down_proj") {}

  at::ScalarType precision() const { return qkv_.weight().value.scalar_type(); }

  // [tokens, hidden] in the weights' precision -> the same
  at::Tensor attention(const at::Tensor& normed, const nn::ForwardContext& context) const {
    const at::Tensor qkv = qkv_.forward(normed).view({context.shape.tokens(), 3, -1, config_.head_size()});
    const nn::AttentionOptions options{.scale = score_scale(config_, layer_)};
    return o_.forward(nn::attend(qkv.select(1, 0), qkv.select(1, 1), qkv.select(1, 2), context, layer_, options));
  }

  const Gpt2Config& config_;
  std::int64_t layer_;
  LayerNorm input_norm_;
  nn::Linear qkv_, o_;
  LayerNorm post_attention_norm_;
  nn::Linear up_, down_;
};

class Gpt2 final : public Model {
 public:
  Gpt2(const Gpt2Config& config, nn::ParameterStore& store)
      : config_(config), embedding_(store.at("embedding.weight")), positions_(store.at("position_embedding.weight")), norm_(config, store, "norm"),
        head_(config.tie_word_embeddings ? embedding_ : store.at("head.weight")) {
    for (std::int64_t layer = 0; layer < config.n_layer; ++layer) blocks_.push_back(std::make_unique<Gpt2Block>(config_, store, layer));
  }

  at::Tensor embed(const at::Tensor& ids, const nn::ForwardContext& context) const override {
    const nn::Positions at = context.positions();
    const at::Tensor position = at.of_token.defined() ? at.of_token : at::arange(at.first, at.first + at.seq, at::kLong).repeat({context.shape.rows});
    return context.seams.tensor.leave(nn::embedding(ids, embedding_) + nn::embedding(position, positions_));
  }

  const std::vector<std::unique_ptr<Block>>& blocks() const override { return blocks_; }
  at::Tensor final_norm(const at::Tensor& hidden) const override { return norm_.forward(hidden, head_.value.scalar_type()); }
  nn::Head own_head() const override { return {head_}; }

  nn::KvCache make_cache(std::int64_t rows, std::int64_t capacity) const override {
    return nn::make_attention_cache({rows, config_.n_head, capacity, config_.head_size(), config_.head_size()}, config_.n_layer, head_.value.scalar_type());
  }

 private:
  const Gpt2Config config_;  // a copy: blocks refer to it
  const nn::Parameter &embedding_, &positions_;
  LayerNorm norm_;
  const nn::Parameter& head_;
  std::vector<std::unique_ptr<Block>> blocks_;
};

}  // namespace

Architecture gpt2() {
  return {"gpt2", "GPT2LMHeadModel", [] { return std::make_unique<Gpt2Config>(); }};
}

std::unique_ptr<Model> Gpt2Config::build(nn::ParameterStore& store) const { return std::make_unique<Gpt2>(*this, store); }

}  // namespace sluice::models
