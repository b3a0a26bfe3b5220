// Low-rank adapters in the files of Hugging Face's PEFT: adapter_config.json and adapter_model.safetensors.
#pragma once
#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

#include "sluice/base/file.h"
#include "sluice/models/lora.h"

namespace sluice::checkpoint {

inline constexpr const char* kAdapterConfig = "adapter_config.json";
inline constexpr const char* kAdapterWeights = "adapter_model.safetensors";

bool is_adapter_folder(const fs::path& folder);

// An adapter as it was read: which weights it changes, and by what.
struct Adapter {
  fs::path path;
  std::string base_model;                    // base_model_name_or_path; may be empty
  std::int64_t rank = 0;                     // adapter_config.json's own, as alpha and use_rslora: what holds where its patterns say nothing
  double alpha = 0;
  bool use_rslora = false;
  std::vector<models::LoraTarget> targets;   // with rank and scale
  std::vector<at::Tensor> a, b;              // one a target, float32: [rank, in] and [out, rank], experts in front
};

// base_model_name_or_path of a folder's adapter_config.json alone; empty where it names none.
std::string base_model_of(const fs::path& folder);

// The adapter in `folder` for a model with `table`. Every tensor of the file is used exactly once. Error for another method than LoRA, for
// what this program does not compute (DoRA, biases, modules_to_save, adapted embeddings, initialisations that change the base model), for a
// tensor that the model has no place for or that has NaN in it, for half a pair, for experts of which some are missing, and for shapes that
// do not fit.
Adapter read_adapter(const fs::path& folder, const std::vector<models::TensorSpec>& table);

// Copies its values into the parameters of its targets, of each the part that is held here.
void load_adapter(const Adapter& adapter, nn::ParameterStore& store);

// What adapter_config.json says beside the targets.
struct AdapterNote {
  std::string base_model;
  double rank = 0, alpha = 0, dropout = 0;
  bool use_rslora = false;
  std::string architecture;  // HF's model_type
  bool transposed = false;  // the base model keeps weights [in, out] (GPT-2): PEFT's fan_in_fan_out
};

// Writes both files into `folder`. `values` has each parameter of the targets by its name, whole, float32. `table` is the whole model's, so that
// target_modules names these modules and no others.
using AdapterValues = std::map<std::string, at::Tensor>;
void write_adapter(const fs::path& folder, const std::vector<models::LoraTarget>& targets, const AdapterNote& note,
                   const std::vector<models::TensorSpec>& table, const AdapterValues& values);

}  // namespace sluice::checkpoint
