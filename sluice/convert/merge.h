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

// What the adapters added to one tensor: Euclidean norms of the change and of the weight before it.
struct Added {
  std::string tensor;  // HF's name, one an expert where the file has one
  double change = 0, weight = 0;
};

// Writes the merged model, tensor by tensor; anonymous memory stays at a few tensors. Error, with `to` not made, when adapters do not
// fit the model, when they change nothing at all, and when a change is lost to rounding in the weights' type.
std::vector<Added> merge(const MergeOptions& options, Log& log);

}  // namespace sluice::convert
