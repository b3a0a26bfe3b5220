// The flags that commands running a model have in common.
#pragma once
#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <vector>

#include "sluice/checkpoint/dtype.h"
#include "sluice/cli/parse.h"

namespace sluice::cli {

struct ModelFlags {
  std::string model, dtype;
  std::vector<std::string> adapters;

  // --model (required; also --hf-model-path and --load), --dtype and --adapter.
  void add_to(CLI::App& app);
  // What --model means on this machine (sluice/cli/hub.h).
  fs::path folder() const;
  // The adapters' folders.
  std::vector<fs::path> adapter_folders() const { return {adapters.begin(), adapters.end()}; }
  // --dtype as a type; nothing when not given: the file's own.
  std::optional<at::ScalarType> scalar_type() const;
};

// A --dtype for weights in files; nothing for an empty text.
std::optional<checkpoint::DType> file_type(const std::string& text);

}  // namespace sluice::cli
