// LoRA adapters added into the weights that they change.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "sluice/base/file.h"
#include "sluice/base/log.h"
#include "sluice/checkpoint/dtype.h"

namespace sluice::convert {

struct MergeOptions {
  fs::path model, to;               // base model, in any layout that convert() reads; new HF folder
  std::vector<fs::path> adapters;   // PEFT folders; what they add is summed
  std::optional<checkpoint::DType> dtype;  // default: each tensor's own
};

// What the adapters did to one tensor: Euclidean norms.
struct Added {
  std::string tensor;  // HF's name, one an expert where the file has one
  double change = 0;   // of what arrived: written values with the adapters less written values without them
  double computed = 0; // of what the adapters add before it is rounded to the written type
  double weight = 0;   // of the weight before
};

// Writes the merged model, tensor by tensor; anonymous memory stays at a few tensors. Error, with `to` not made, when adapters do not
// fit the model, when they change nothing at all, when a change is lost to rounding in the weights' type, and when a weight with it is beyond that type.
std::vector<Added> merge(const MergeOptions& options, Log& log);

}  // namespace sluice::convert
