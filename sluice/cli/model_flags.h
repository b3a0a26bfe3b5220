// The flags that commands running a model have in common.
#pragma once
#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <vector>

#include "sluice/checkpoint/dtype.h"
#include "sluice/cli/parse.h"
#include "sluice/dist/mesh.h"
#include "sluice/generate/loaded_model.h"

namespace sluice::cli {

struct ModelFlags {
  std::string model, dtype;
  std::vector<std::string> adapters;
  parallel::ParallelismConfig layout;

  // --model (required; also --hf-model-path and --load), --dtype, --adapter, and the sizes of a layout by Megatron's names.
  void add_to(CLI::App& app);
  // What --model means on this machine (sluice/cli/hub.h).
  fs::path folder() const;
  // The adapters' folders.
  std::vector<fs::path> adapter_folders() const { return {adapters.begin(), adapters.end()}; }
  // --dtype as a type; nothing when not given: the file's own.
  std::optional<at::ScalarType> scalar_type() const;
  // The model over the ranks of `mesh`, which is laid out for it and outlives it. All ranks come here together.
  generate::LoadedModel load(dist::Mesh& mesh) const;
};

// A --dtype for weights in files; nothing for an empty text.
std::optional<checkpoint::DType> file_type(const std::string& text);

}  // namespace sluice::cli
