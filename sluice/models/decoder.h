// What stands around the blocks of most families: embedding, blocks with grouped-query attention and rotary positions over whole heads, a
// root mean square norm, the head.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "sluice/models/model.h"
#include "sluice/nn/attention.h"
#include "sluice/nn/linear.h"
#include "sluice/nn/norm.h"
#include "sluice/nn/rope.h"

namespace sluice::models {

// Config is a DecoderConfig; DecoderBlock a Block made from (config, store, layer, rope), of which it may keep references to all but layer.
template <class Config, class DecoderBlock>
class Decoder final : public Model {
 public:
  Decoder(const Config& config, nn::ParameterStore& store)
      : config_(config), rope_(config.rope_table(config.head_size())), embedding_(store.at("embedding.weight")), norm_(store.at("norm.weight")),
        head_(config.tie_word_embeddings ? embedding_ : store.at("head.weight")) {
    for (std::int64_t layer = 0; layer < config.num_hidden_layers; ++layer) blocks_.push_back(std::make_unique<DecoderBlock>(config_, store, layer, rope_));
  }

  at::Tensor embed(const at::Tensor& ids, const nn::ForwardContext& context) const override { return context.seams.tensor.leave(nn::embedding(ids, embedding_)); }
  const std::vector<std::unique_ptr<Block>>& blocks() const override { return blocks_; }
  at::Tensor final_norm(const at::Tensor& hidden) const override { return nn::rms_norm(hidden, norm_, config_.rms_norm_eps, head_.value.scalar_type()); }
  nn::Head own_head() const override { return {head_}; }
  nn::KvCache make_cache(std::int64_t rows, std::int64_t capacity) const override {
    return nn::make_attention_cache({rows, config_.kv_heads(), capacity, config_.head_size(), config_.head_size()}, config_.num_hidden_layers,
                                    head_.value.scalar_type());
  }

 private:
  const Config config_;  // a copy: blocks refer to it
  const nn::RopeTable rope_;
  const nn::Parameter &embedding_, &norm_, &head_;
  std::vector<std::unique_ptr<Block>> blocks_;
};

}  // namespace sluice::models
