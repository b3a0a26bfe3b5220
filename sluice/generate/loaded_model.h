// A model read from a folder, ready to run forwards.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "sluice/base/file.h"
#include "sluice/checkpoint/model_io.h"
#include "sluice/checkpoint/weight_reader.h"
#include "sluice/models/model.h"
#include "sluice/text/tokenizer.h"

namespace sluice::generate {

// A model with its sizes: what running it forwards takes. Works on stores for inference and for training alike.
struct Runnable {
  const models::Model& model;
  const models::ModelConfig& config;
};

struct LoadedModel {
  checkpoint::ModelFolder folder;
  std::unique_ptr<checkpoint::WeightReader> weights;  // holds the files in which parameters of *store may lie
  std::unique_ptr<nn::ParameterStore> store;
  std::unique_ptr<models::Model> model;  // refers to *store
  Runnable runnable() const { return {*model, *folder.config}; }
};

// Reads the model at `path` (HF folder, step folder or run folder) for inference: no gradients, no masters. Weights are kept in the
// type that the file has unless `dtype` (float32, bfloat16 or float16) asks for another; norms and routers are always float32. What a file
// holds as it is computed with is not copied: the files must stay as they are while the model is used. `adapters`
// are PEFT folders, or runs that trained them, whose changes are added up; a `path` that is one itself stands for its base model with it.
LoadedModel open_model(const fs::path& path, std::optional<at::ScalarType> dtype, std::vector<fs::path> adapters = {});

// The tokenizer at `given` where there is one, else the one in the model's own folder; null when that has none.
std::unique_ptr<text::Tokenizer> open_model_tokenizer(const checkpoint::ModelFolder& folder, const std::optional<fs::path>& given);

// The tokens that end a text: eos_token_id of generation_config.json, else of config.json, else of the tokenizer (may be null).
std::vector<std::int32_t> stop_ids(const checkpoint::ModelFolder& folder, const text::Tokenizer* tokenizer);

// Error naming `where` unless every id is one of the model's and the rows fit into its positions with `new_tokens` more.
void require_runnable(const Runnable& runnable, const std::vector<std::int32_t>& ids, std::int64_t new_tokens, const std::string& where);

}  // namespace sluice::generate
