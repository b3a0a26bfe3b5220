// The flags that commands running a model have in common.
#pragma once
#include <ATen/core/Tensor.h>

#include <optional>
#include <string>

#include "sluice/cli/parse.h"

namespace sluice::cli {

struct ModelFlags {
  std::string model, dtype;

  // --model (required; also --hf-model-path and --load) and --dtype.
  void add_to(CLI::App& app);
  // What --model means on this machine (sluice/cli/hub.h).
  fs::path folder() const;
  // --dtype as a type; nothing when not given: the file's own.
  std::optional<at::ScalarType> scalar_type() const;
};

}  // namespace sluice::cli
