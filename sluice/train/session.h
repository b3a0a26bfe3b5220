// What a run trains: data, model, optimizer and objective, built from a recipe in the order in which mistakes are cheapest to find.
#pragma once
#include <memory>
#include <optional>

#include "sluice/base/log.h"
#include "sluice/checkpoint/adapter.h"
#include "sluice/checkpoint/dtype.h"
#include "sluice/checkpoint/step_folder.h"
#include "sluice/data/dataset.h"
#include "sluice/data/stream.h"
#include "sluice/eval/routing_file.h"
#include "sluice/text/tokenizer.h"
#include "sluice/parallel/activation_file.h"
#include "sluice/parallel/seams.h"
#include "sluice/train/recipe.h"
#include "sluice/train/state.h"
#include "sluice/train/step.h"

namespace sluice::train {

// The data side alone: cheap to open, and where most mistakes are.
struct SessionData {
  std::optional<fs::path> tokenizer_folder;
  std::unique_ptr<text::Tokenizer> tokenizer;  // null where format token_ids has none
  data::Datasets sets;
  std::int64_t total_steps = 0;
  std::int64_t pad_id = 0;
};
SessionData open_data(const ResolvedRecipe& resolved);

// Members refer to each other: built in place, never moved.
class Session {
 public:
  // Builds and fills this rank's part of the model (from model.load, or at random from the seed) over `data`, which open_data gave. The ranks of
  // `mesh`, which outlives this, come here together.
  Session(const ResolvedRecipe& resolved, SessionData data, const dist::Mesh& mesh, Log& log);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  std::vector<data::Batch> micro_batches(std::int64_t step) const;  // this rank's of optimizer step `step`, from 1
  bool model_is_whole() const;  // whether this rank can run the model alone
  // How routing was supervised so far; nothing without supervision.
  std::optional<eval::RoutingFile> routing_file() const;
  // What a checkpoint of adapters says of itself; for LoRA alone.
  checkpoint::AdapterNote adapter_note() const;
  // What a checkpoint keeps of it.
  Kept kept() const { return {mesh_, *shared, *store, *optimizer, table, adapters, adapter_note()}; }
  // The same where other ranks may be gone; nothing where they have parts of it.
  std::optional<Kept> kept_alone() const;
  // What a step folder or an export carries beside weights: config.json, tokenizer files, routing_supervision.json.
  void write_companions(const fs::path& folder) const;

  const ResolvedRecipe& resolved;
  SessionData data;
  std::vector<models::TensorSpec> table;
  std::unique_ptr<parallel::Holders> holders;
  std::unique_ptr<parallel::DiskBuffers> disk;  // null where nothing but activations is offloaded
  std::unique_ptr<nn::ParameterStore> store;
  std::unique_ptr<parallel::SharedParameters> shared;
  std::unique_ptr<parallel::Stages> stages;
  std::unique_ptr<parallel::LayoutSeams> seams;
  std::unique_ptr<parallel::SecondLane> second_lane;  // null unless micro-batches overlap
  std::vector<models::LoraTarget> adapters;  // empty without LoRA
  nn::Dropout dropout;                       // theirs
  std::unique_ptr<models::Model> model;
  std::unique_ptr<parallel::ActivationFile> activation_file;  // null where activations stay in memory
  std::unique_ptr<optim::AdamW> optimizer;
  std::unique_ptr<RoutingTarget> target;  // null without routing supervision
  std::unique_ptr<Step> step;
  std::unique_ptr<data::SampleStream> stream;
  checkpoint::DType export_dtype = checkpoint::DType::kF32;
  // Of model.load: the folder that was read, its config.json, and its generation_config.json as it stands. Nothing for a model from scratch.
  fs::path base_folder;
  std::optional<Json> source_config;
  std::optional<std::string> generation_config;

 private:
  void add_adapters();
  nn::MakeZeros zeros_of(parallel::Offload what) const;
  const dist::Mesh& mesh_;
};

}  // namespace sluice::train
