#include "sluice/models/llama/decoder.h"

#include "sluice/nn/attention.h"
#include "sluice/nn/linear.h"
#include "sluice/nn/mlp.h"
#include "sluice/nn/norm.h"

namespace sluice::models {
namespace {

class LlamaBlock final : public Block {
 public:
  LlamaBlock(const LlamaSizes& sizes, nn::ParameterStore& store, std::size_t layer, const nn::RopeTable& rope)
      : LlamaBlock(sizes, store, layer, rope, "layers." + std::to_string(layer) + ".") {}

  BlockOutput forward(const at::Tensor& hidden, const nn::ForwardContext& context) const override {
    const at::Tensor after_attention = hidden + attention(hidden, context);
    const at::Tensor normed = context.seams.tensor.enter(nn::rms_norm(after_attention, post_attention_norm_, sizes_.rms_norm_eps, precision()));
    return {after_attention + context.seams.tensor.leave(mlp_.forward(normed).to(at::kFloat)), std::nullopt};
  }

 private:
  LlamaBlock(const LlamaSizes& sizes, nn::ParameterStore& store, std::size_t layer, const nn::RopeTable& rope, const std::string& at)
      : sizes_(sizes), layer_(static_cast<std::int64_t>(layer)), options_{.window = sizes.windows[layer]}, rope_(rope),
        input_norm_(store.at(at + "input_norm.weight")), q_(store, at + "attention.q_proj"), k_(store, at + "attention.k_proj"),
        v_(store, at + "attention.v_proj"), o_(store, at + "attention.o_proj"), q_norm_(store.find(at + "attention.q_norm.weight")),
        k_norm_(store.find(at + "attention.k_norm.weight")), post_attention_norm_(store.at(at + "post_attention_norm.weight")),
        mlp_(store, at + "mlp", sizes.activation) {}

  at::ScalarType precision() const { return q_.weight().value.scalar_type(); }

  // [tokens, hidden] float32 -> the same
  at::Tensor attention(const at::Tensor& hidden, const nn::ForwardContext& context) const {
    const at::Tensor normed = context.seams.tensor.enter(nn::rms_norm(hidden, input_norm_, sizes_.rms_norm_eps, precision()));
    const auto heads = [&](const nn::Linear& linear) { return linear.forward(normed).view({context.shape.tokens(), -1, sizes_.head_dim}); };
    const auto rotated = [&](const at::Tensor& x, const nn::Parameter* norm) {
      const at::Tensor normed_heads = norm ? nn::rms_norm(x, *norm, sizes_.rms_norm_eps, precision()) : x;
      return nn::apply_rope(normed_heads, rope_, context.positions());
    };
    const at::Tensor query = rotated(heads(q_), q_norm_), key = rotated(heads(k_), k_norm_);
    return context.seams.tensor.leave(o_.forward(nn::attend(query, key, heads(v_), context, layer_, options_)).to(at::kFloat));
  }

  const LlamaSizes& sizes_;
  std::int64_t layer_;
  nn::AttentionOptions options_;
  const nn::RopeTable& rope_;
  const nn::Parameter& input_norm_;
  nn::Linear q_, k_, v_, o_;
  const nn::Parameter *q_norm_, *k_norm_;  // null = none
  const nn::Parameter& post_attention_norm_;
  nn::GatedMlp mlp_;
};

class Llama final : public Model {
 public:
  Llama(const LlamaSizes& sizes, nn::RopeTable rope, nn::ParameterStore& store)
      : sizes_(sizes), rope_(std::move(rope)), embedding_(store.at("embedding.weight")), norm_(store.at("norm.weight")),
        head_(sizes.tied_head ? embedding_ : store.at("head.weight")) {
    for (std::size_t layer = 0; layer < sizes.windows.size(); ++layer) blocks_.push_back(std::make_unique<LlamaBlock>(sizes_, store, layer, rope_));
  }

  at::Tensor embed(const at::Tensor& ids, const nn::ForwardContext& context) const override { return context.seams.tensor.leave(nn::embedding(ids, embedding_)); }
  const std::vector<std::unique_ptr<Block>>& blocks() const override { return blocks_; }
  at::Tensor final_norm(const at::Tensor& hidden) const override { return nn::rms_norm(hidden, norm_, sizes_.rms_norm_eps, head_.value.scalar_type()); }
  nn::Head own_head() const override { return {head_}; }

  nn::KvCache make_cache(std::int64_t rows, std::int64_t capacity) const override {
    return nn::make_attention_cache({rows, sizes_.kv_heads, capacity, sizes_.head_dim, sizes_.head_dim}, static_cast<std::int64_t>(sizes_.windows.size()), head_.value.scalar_type());
  }

 private:
  const LlamaSizes sizes_;  // a copy: blocks refer to it
  const nn::RopeTable rope_;
  const nn::Parameter &embedding_, &norm_, &head_;
  std::vector<std::unique_ptr<Block>> blocks_;
};

}  // namespace

std::unique_ptr<Model> build_llama(const LlamaSizes& sizes, nn::RopeTable rope, nn::ParameterStore& store) {
  return std::make_unique<Llama>(sizes, std::move(rope), store);
}

}  // namespace sluice::models
