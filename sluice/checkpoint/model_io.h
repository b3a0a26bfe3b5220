// A model's weights between disk and ParameterStore, by its tensor table: HF folders and native step folders.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sluice/base/file.h"
#include "sluice/checkpoint/dtype.h"
#include "sluice/checkpoint/hf_folder.h"
#include "sluice/models/model.h"
#include "sluice/models/registry.h"

namespace sluice::checkpoint {

enum class FolderKind { kHf, kNative };

// A folder that holds a model: itself, or for a run folder its newest checkpoint.
struct ModelFolder {
  fs::path path;
  FolderKind kind = FolderKind::kHf;
  std::string architecture;
  std::unique_ptr<models::ModelConfig> config;
  DType dtype = DType::kF32;  // of the weights: that of its largest tensor that is not quantised
};

// The folder that `given` stands for: of a run its newest checkpoint, of a pointer (checkpoints/latest, best) what it names, else itself.
// Error when there is none.
fs::path resolve_model_folder(const fs::path& given);

// Reads config.json and finds out what the folder is; a run's checkpoints/latest or best stands for the folder that it names. Error, with
// remedy, for a folder without a model.
ModelFolder open_model_folder(const fs::path& given);

// Fills every parameter from the folder. Each tensor of the folder is used exactly once and each parameter filled exactly once, else an
// Error that lists them. Works for stores for training (masters are filled, computing copies follow) and for inference (values).
// Parameters of the store that are not in `table` are left alone. `after` sees each parameter once it has its value.
void load_weights(const ModelFolder& folder, const std::vector<models::TensorSpec>& table, nn::ParameterStore& store, const nn::ParameterStore::After& after = {});

// Error when a tensor that should hold the values of another one does not: a copy that the table names, or a head that the config lets be
// as the embedding. Left out, the model would compute something else.
void require_equal_copies(const WeightFolder& folder, const models::ModelConfig& config, const std::vector<models::TensorSpec>& table);

// Gives every parameter of a store for inference an uninitialised value: in `dtype`, norms and routers in float32.
void allocate_for_inference(nn::ParameterStore& store, at::ScalarType dtype);

// Writes an HF folder: weights in `dtype` under HF's names, config.json, the tokenizer's files from `tokenizer_folder` (if any),
// generation_config.json. `values` gives each parameter whole and in full precision, in the order of the table.
using WholeTensors = std::function<at::Tensor(const models::TensorSpec& spec)>;
void export_hf(const fs::path& to, const models::ModelConfig& config, const std::vector<models::TensorSpec>& table, const WholeTensors& values, DType dtype,
               const std::optional<fs::path>& tokenizer_folder);

// A tensor over a file's bytes, which must outlive it and are only read; copied when they are not aligned to their elements.
at::Tensor tensor_over(const TensorView& view);
// The bytes of a contiguous tensor.
std::span<std::byte> bytes_of(const at::Tensor& tensor);

// A parameter's full-precision tensor: the master where there is one.
at::Tensor exact_value(const nn::Parameter& parameter);

at::ScalarType to_torch(DType dtype);  // Error for a type that weights do not have
DType from_torch(at::ScalarType dtype);

}  // namespace sluice::checkpoint
