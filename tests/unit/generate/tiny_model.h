// A small Mixtral with random weights, for tests that need a model and no file.
#pragma once
#include <ATen/ATen.h>

#include <memory>
#include <vector>

#include "sluice/base/rng.h"
#include "sluice/checkpoint/model_io.h"
#include "sluice/generate/loaded_model.h"
#include "sluice/models/mixtral/config.h"
#include "sluice/models/tensor_table.h"

namespace sluice::generate {

enum class StoreKind { kInference, kTraining };

struct TinyModel {
  models::MixtralConfig config;
  std::unique_ptr<nn::ParameterStore> store;
  std::unique_ptr<models::Model> model;
  Runnable runnable() const { return {*model, config}; }

  // Equal seeds give equal weights, whatever the kind of store.
  explicit TinyModel(StoreKind kind = StoreKind::kInference, std::int64_t vocab = 61) {
    config.vocab_size_ = vocab;
    config.hidden_size = 32;
    config.intermediate_size = 48;
    config.num_hidden_layers = 2;
    config.num_attention_heads = 4;
    config.num_key_value_heads = 2;
    config.num_local_experts = 4;
    config.num_experts_per_tok = 2;
    config.max_position_embeddings = 64;
    config.rope_theta = 1e4;
    store = std::make_unique<nn::ParameterStore>(models::parameter_specs(config.tensor_table()));
    if (kind == StoreKind::kTraining)
      store->allocate_for_training(nn::Precision::kFloat32, [](const std::string&) { return false; });
    else
      checkpoint::allocate_for_inference(*store, at::kFloat);
    store->initialise(/*seed=*/5, /*std=*/0.25);
    model = config.build(*store);
  }
};

inline std::vector<std::int32_t> random_ids(std::size_t count, std::uint64_t stream, std::int64_t vocab = 61) {
  Rng rng(11, stream);
  std::vector<std::int32_t> ids;
  for (std::size_t i = 0; i < count; ++i) ids.push_back(static_cast<std::int32_t>(rng.below(static_cast<std::uint64_t>(vocab))));
  return ids;
}

}  // namespace sluice::generate
