// A training run on disk: everything that going on from a step needs, so that a resumed run's bits equal an uninterrupted one's.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "sluice/base/file.h"
#include "sluice/base/json.h"
#include "sluice/checkpoint/adapter.h"
#include "sluice/models/tensor_table.h"
#include "sluice/nn/parameter.h"
#include "sluice/optim/adamw.h"
#include "sluice/parallel/zero.h"
#include "sluice/train/bad_step.h"

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
  GradientNorms grad_norms;
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

// Where the run of a step folder stands. Error when the folder has no trainer state.
Progress read_progress(const fs::path& step_folder);

// As state.json has it.
OrderedJson to_json(const Progress& progress, std::int64_t optimizer_steps);

// What a checkpoint's tensors hold of each parameter beside its value: the name before the parameter's, and where the optimizer has it.
struct Moment {
  const char* prefix;
  const at::Tensor& (optim::AdamW::*flat)() const;
};
inline constexpr std::array<Moment, 2> kMoments{{{"exp_avg.", &optim::AdamW::mean}, {"exp_avg_sq.", &optim::AdamW::square}}};

bool is_of_adapter(const Kept& kept, const nn::Parameter& parameter);

// What is held of a tensor, as pieces of the whole.
std::vector<nn::Piece> pieces_of(const nn::ParameterSpec& spec);

struct Loaded {
  Progress progress;
  std::uint64_t bytes_read = 0;  // of tensors, by this rank
};

// Fills what is kept: the store's masters and computing copies and the optimizer's moments from a step folder that any layout has saved. All ranks
// come here together; each reads what it keeps, under ZeRO its piece alone, and every file's checksum is compared by one of them. Error that names
// what does not fit.
Loaded load_state(const fs::path& step_folder, const Kept& kept);

}  // namespace sluice::train
