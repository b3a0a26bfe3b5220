#include "sluice/cli/model_flags.h"

#include "sluice/base/error.h"
#include "sluice/cli/hub.h"

namespace sluice::cli {

void ModelFlags::add_to(CLI::App& app) {
  app.add_option("--model,--hf-model-path,--load", model, "Folder of the model: Hugging Face's layout, a step folder or a run folder")
      ->required();
  app.add_option("--dtype", dtype, "Compute in fp32, bf16 or fp16; default: the type of the file's weights");
}

fs::path ModelFlags::folder() const { return find_model(model); }

std::optional<at::ScalarType> ModelFlags::scalar_type() const {
  if (dtype.empty()) return std::nullopt;
  if (dtype == "fp32" || dtype == "float32") return at::kFloat;
  if (dtype == "bf16" || dtype == "bfloat16") return at::kBFloat16;
  if (dtype == "fp16" || dtype == "float16") return at::kHalf;
  throw Error("--dtype " + dtype + " is not a type to compute in", "use fp32, bf16 or fp16");
}

}  // namespace sluice::cli
