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
#include "sluice/parallel/seams.h"
#include "sluice/text/tokenizer.h"

namespace sluice::generate {

// A model with its sizes: what running it forwards takes. Works on stores for inference and for training alike.
struct Runnable {
  const models::Model& model;
  const models::ModelConfig& config;
};

// A folder's model, of which no weights are read yet.
struct ModelSource {
  checkpoint::ModelFolder folder;
  std::vector<fs::path> adapters;
};

// `path`: HF folder, step folder or run folder. `adapters` are PEFT folders, or runs that trained them; a `path` that is one itself stands for its base
// model with it.
ModelSource open_source(const fs::path& path, std::vector<fs::path> adapters = {});

struct LoadedModel {
  checkpoint::ModelFolder folder;
  std::unique_ptr<checkpoint::WeightReader> weights;  // holds the files in which parameters of *store may lie
  std::unique_ptr<nn::ParameterStore> store;
  std::unique_ptr<parallel::Stages> stages;
  std::unique_ptr<parallel::LayoutSeams> seams;  // refers to *stages
  std::unique_ptr<models::Model> model;          // refers to *store and *seams
  Runnable runnable() const { return {*model, *folder.config}; }
};

// The processes that run a model together.
struct Ranks {
  const dist::Mesh& mesh;              // laid out by `layout`; outlives the model
  parallel::ParallelismConfig layout;  // as layout_of (layout.h) gives it
};

// Reads the model for inference: no gradients, no masters; of several ranks each the parts that it holds. Weights are kept in the
// type that the file has unless `dtype` (float32, bfloat16 or float16) asks for another; norms and routers are always float32. What a file
// holds as it is computed with is not copied: the files must stay as they are while the model is used. The adapters' changes are added up.
LoadedModel load_model(ModelSource source, std::optional<at::ScalarType> dtype, const Ranks& ranks);

// Both, in this process alone.
LoadedModel open_model(const fs::path& path, std::optional<at::ScalarType> dtype, std::vector<fs::path> adapters = {});

// The tokenizer at `given` where there is one, else the one in the model's own folder; null when that has none.
std::unique_ptr<text::Tokenizer> open_model_tokenizer(const checkpoint::ModelFolder& folder, const std::optional<fs::path>& given);

// The tokens that end a text: eos_token_id of generation_config.json, else of config.json, else of the tokenizer (may be null).
std::vector<std::int32_t> stop_ids(const checkpoint::ModelFolder& folder, const text::Tokenizer* tokenizer);

// Error naming `where` unless every id is one of the model's and the rows fit into its positions with `new_tokens` more.
void require_runnable(const Runnable& runnable, const std::vector<std::int32_t>& ids, std::int64_t new_tokens, const std::string& where);

}  // namespace sluice::generate
