#include "sluice/models/gemma/decoder.h"

#include <cmath>

#include "sluice/models/gemma/attention.h"
#include "sluice/nn/attention.h"
#include "sluice/nn/linear.h"
#include "sluice/nn/mlp.h"
#include "sluice/nn/norm.h"

namespace sluice::models {
namespace {

class GemmaBlock final : public Block {
 public:
  GemmaBlock(const GemmaSizes& sizes, nn::ParameterStore& store, std::size_t layer, const nn::RopeTable& rope, const std::string& at)
      : eps_(sizes.rms_norm_eps), input_norm_(store.at(at + "input_norm.weight")), attention_(sizes, store, layer, rope, at + "attention"),
        post_attention_norm_(store.at(at + "post_attention_norm.weight")), mlp_(store, at + "mlp", sizes.activation) {}

  BlockOutput forward(const at::Tensor& hidden, const nn::ForwardContext& context) const override {
    const nn::TensorRegion& region = context.seams.tensor;
    const auto normed = [&](const at::Tensor& x, const nn::Parameter& weight) {
      return region.enter(nn::zero_centred_rms_norm(x, weight, eps_, attention_.precision()));
    };
    const at::Tensor after_attention = hidden + region.leave(attention_.forward(normed(hidden, input_norm_), context).to(at::kFloat));
    return {after_attention + region.leave(mlp_.forward(normed(after_attention, post_attention_norm_)).to(at::kFloat)), std::nullopt};
  }

 private:
  double eps_;
  const nn::Parameter& input_norm_;
  GemmaAttention attention_;
  const nn::Parameter& post_attention_norm_;
  nn::GatedMlp mlp_;
};

// Norms before and after attention and feed-forward (arXiv:2408.00118, section 2).
class Gemma2Block final : public Block {
 public:
  Gemma2Block(const GemmaSizes& sizes, nn::ParameterStore& store, std::size_t layer, const nn::RopeTable& rope, const std::string& at)
      : eps_(sizes.rms_norm_eps), input_norm_(store.at(at + "input_norm.weight")), attention_(sizes, store, layer, rope, at + "attention"),
        post_attention_norm_(store.at(at + "post_attention_norm.weight")), pre_feedforward_norm_(store.at(at + "pre_feedforward_norm.weight")),
        mlp_(store, at + "mlp", sizes.activation), post_feedforward_norm_(store.at(at + "post_feedforward_norm.weight")) {}

  BlockOutput forward(const at::Tensor& hidden, const nn::ForwardContext& context) const override {
    const nn::TensorRegion& region = context.seams.tensor;
    const auto before = [&](const at::Tensor& x, const nn::Parameter& weight) {
      return region.enter(nn::zero_centred_rms_norm(x, weight, eps_, attention_.precision()));
    };
    const auto after = [&](const at::Tensor& y, const nn::Parameter& weight) {
      return nn::zero_centred_rms_norm(region.leave(y.to(at::kFloat)), weight, eps_, at::kFloat);
    };
    const at::Tensor after_attention = hidden + after(attention_.forward(before(hidden, input_norm_), context), post_attention_norm_);
    return {after_attention + after(mlp_.forward(before(after_attention, pre_feedforward_norm_)), post_feedforward_norm_), std::nullopt};
  }

 private:
  double eps_;
  const nn::Parameter& input_norm_;
  GemmaAttention attention_;
  const nn::Parameter &post_attention_norm_, &pre_feedforward_norm_;
  nn::GatedMlp mlp_;
  const nn::Parameter& post_feedforward_norm_;
};

std::unique_ptr<Block> make_block(const GemmaSizes& sizes, nn::ParameterStore& store, std::size_t layer, const nn::RopeTable& rope) {
  const std::string at = "layers." + std::to_string(layer) + ".";
  if (sizes.block == GemmaBlockKind::kFourNorms) return std::make_unique<Gemma2Block>(sizes, store, layer, rope, at);
  return std::make_unique<GemmaBlock>(sizes, store, layer, rope, at);
}

class Gemma final : public Model {
 public:
  Gemma(const GemmaSizes& sizes, nn::RopeTable rope, nn::ParameterStore& store)
      : sizes_(sizes), rope_(std::move(rope)), embedding_(store.at("embedding.weight")), norm_(store.at("norm.weight")),
        head_(sizes.tied_head ? embedding_ : store.at("head.weight")) {
    for (std::size_t layer = 0; layer < sizes.attention.size(); ++layer) blocks_.push_back(make_block(sizes_, store, layer, rope_));
  }

  // Times sqrt(hidden), rounded to the embedding's precision: trained so in bf16, where sqrt(3072) is 55.5.
  at::Tensor embed(const at::Tensor& ids, const nn::ForwardContext& context) const override {
    const at::Tensor scale = at::scalar_tensor(std::sqrt(static_cast<double>(sizes_.hidden)), embedding_.value.scalar_type()).to(at::kFloat);
    return context.seams.tensor.leave(nn::embedding(ids, embedding_)) * scale;
  }

  const std::vector<std::unique_ptr<Block>>& blocks() const override { return blocks_; }
  at::Tensor final_norm(const at::Tensor& hidden) const override {
    return nn::zero_centred_rms_norm(hidden, norm_, sizes_.rms_norm_eps, head_.value.scalar_type());
  }
  nn::Head own_head() const override { return {head_, sizes_.logit_softcap}; }

  nn::KvCache make_cache(std::int64_t rows, std::int64_t capacity) const override {
    return nn::make_attention_cache({rows, sizes_.kv_heads, capacity, sizes_.head_dim, sizes_.head_dim}, static_cast<std::int64_t>(blocks_.size()), head_.value.scalar_type());
  }

 private:
  const GemmaSizes sizes_;  // a copy: blocks refer to it
  const nn::RopeTable rope_;
  const nn::Parameter &embedding_, &norm_, &head_;
  std::vector<std::unique_ptr<Block>> blocks_;
};

}  // namespace

std::unique_ptr<Model> build_gemma(const GemmaSizes& sizes, nn::RopeTable rope, nn::ParameterStore& store) {
  return std::make_unique<Gemma>(sizes, std::move(rope), store);
}

}  // namespace sluice::models
