#include "sluice/cli/model_flags.h"

#include "sluice/base/error.h"
#include "sluice/cli/hub.h"

namespace sluice::cli {

void ModelFlags::add_to(CLI::App& app) {
  app.add_option("--model,--hf-model-path,--load", model, "Folder of the model: Hugging Face's layout, a step folder or a run folder")
      ->required();
  app.add_option("--dtype", dtype, "Compute in fp32, bf16 or fp16; default: the type of the file's weights");
  app.add_option("--adapter", adapters, "LoRA adapter to add: a PEFT folder, or a run that trained one; may be repeated");
}

fs::path ModelFlags::folder() const { return find_model(model); }

std::optional<at::ScalarType> ModelFlags::scalar_type() const {
  if (dtype.empty()) return std::nullopt;
  if (dtype == "fp32" || dtype == "float32") return at::kFloat;
  if (dtype == "bf16" || dtype == "bfloat16") return at::kBFloat16;
  if (dtype == "fp16" || dtype == "float16") return at::kHalf;
  throw Error("--dtype " + dtype + " is not a type to compute in", "use fp32, bf16 or fp16");
}

std::optional<checkpoint::DType> file_type(const std::string& text) {
  if (text.empty()) return std::nullopt;
  if (text == "bf16" || text == "bfloat16") return checkpoint::DType::kBF16;
  if (text == "fp32" || text == "float32") return checkpoint::DType::kF32;
  if (text == "fp16" || text == "float16") return checkpoint::DType::kF16;
  throw Error("--dtype '" + text + "' is not bf16, fp32 or fp16", "give one of these");
}

}  // namespace sluice::cli
