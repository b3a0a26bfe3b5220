// A training run on disk: everything that going on from a step needs, so that a resumed run's bits equal an uninterrupted one's.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>

#include "sluice/base/file.h"
#include "sluice/checkpoint/adapter.h"
#include "sluice/checkpoint/step_folder.h"
#include "sluice/models/tensor_table.h"
#include "sluice/nn/parameter.h"
#include "sluice/optim/adamw.h"
#include "sluice/parallel/zero.h"

namespace sluice::train {

// Where a run stands. The order of the data is a function of (seed, position), and every random number one of (seed, place): there is no
// generator state beside it.
struct Progress {
  std::int64_t step = 0;           // optimizer steps done
  std::int64_t data_position = 0;  // samples consumed since the start
  std::int64_t seed = 0;
  std::uint32_t data_fingerprint = 0;  // of the training rows: other data cannot go on at the same place
  std::optional<double> best_validation_loss;
  std::int64_t best_step = 0;
  std::int64_t optimizer_steps = 0;  // as read; a save asks the optimizer
};

// What a run keeps: its parameters, or where it trains adapters these alone, as PEFT does.
struct Kept {
  const dist::Mesh& mesh;
  parallel::SharedParameters& shared;
  nn::ParameterStore& store;
  optim::AdamW& optimizer;
  const std::vector<models::TensorSpec>& table;
  const std::vector<models::LoraTarget>& adapters;  // empty: everything is kept
  checkpoint::AdapterNote note;                     // of the adapters
  // The others are gone, and this rank has everything: it saves alone, and `mesh` is of one process.
  bool alone = false;

  bool saves(const nn::Parameter& parameter) const { return alone || shared.saves(parameter); }
};

// Writes one step folder of `run`: parameters as native shards directly in it (or a PEFT adapter), moments and Progress in trainer/; then
// `extra` may add files (config.json, tokenizer, routing_supervision.json) before it is committed. All ranks come here together, each writes what
// SharedParameters says, and the leader the rest. Error when the disk is too small; earlier checkpoints stay whole.
fs::path save_state(const fs::path& run, const Progress& progress, const Kept& kept, const std::function<void(const fs::path& folder)>& extra);

// Where the run of a step folder stands. Error when the folder has no trainer state.
Progress read_progress(const fs::path& step_folder);

// Fills what is kept: the store's masters and computing copies and the optimizer's moments from a step folder. Error that names what does not fit.
Progress load_state(const fs::path& step_folder, const Kept& kept);

}  // namespace sluice::train
