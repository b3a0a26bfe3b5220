#include "sluice/cli/model_flags.h"

#include "sluice/base/error.h"
#include "sluice/cli/hub.h"
#include "sluice/generate/layout.h"

namespace sluice::cli {

void ModelFlags::add_to(CLI::App& app) {
  app.add_option("--model,--hf-model-path,--load", model, "Folder of the model: Hugging Face's layout, a step folder or a run folder")
      ->required();
  app.add_option("--dtype", dtype, "Compute in fp32, bf16 or fp16; default: the type of the file's weights");
  app.add_option("--adapter", adapters, "LoRA adapter to add: a PEFT folder, or a run that trained one; may be repeated");
  const auto size = [&](const char* flag, auto& value, const char* what) { app.add_option(flag, value, what)->check(whole_number(1))->group("Processes (started by torchrun --no-python, srun or sluice launch)"); };
  size("--tensor-model-parallel-size", layout.tensor_model_parallel_size, "Processes that split each matrix; default: 1");
  size("--pipeline-model-parallel-size", layout.pipeline_model_parallel_size, "Processes that split the layers; default: 1");
  size("--expert-model-parallel-size", layout.expert_model_parallel_size, "Processes that split the experts, among those of a pipeline stage; default: 1");
  size("--expert-tensor-parallel-size", layout.expert_tensor_parallel_size, "Processes that split each expert; default: those of a stage that the experts leave over");
}

fs::path ModelFlags::folder() const { return find_model(model); }

std::optional<at::ScalarType> ModelFlags::scalar_type() const {
  if (dtype.empty()) return std::nullopt;
  if (dtype == "fp32" || dtype == "float32") return at::kFloat;
  if (dtype == "bf16" || dtype == "bfloat16") return at::kBFloat16;
  if (dtype == "fp16" || dtype == "float16") return at::kHalf;
  throw Error("--dtype " + dtype + " is not a type to compute in", "use fp32, bf16 or fp16");
}

generate::LoadedModel ModelFlags::load(dist::Mesh& mesh) const {
  const std::int64_t processes = mesh.world->size();
  parallel::ParallelismConfig whole;
  generate::ModelSource source = together(mesh, [&] {
    generate::ModelSource opened = generate::open_source(folder(), adapter_folders());
    whole = generate::layout_of(*opened.folder.config, layout, processes);
    return opened;
  });
  if (!mesh.world->alone()) dist::lay_out(mesh, parallel::grid_of(whole, processes));
  return together(mesh, [&] { return generate::load_model(std::move(source), scalar_type(), {mesh, whole}); });
}

std::optional<checkpoint::DType> file_type(const std::string& text) {
  if (text.empty()) return std::nullopt;
  if (text == "bf16" || text == "bfloat16") return checkpoint::DType::kBF16;
  if (text == "fp32" || text == "float32") return checkpoint::DType::kF32;
  if (text == "fp16" || text == "float16") return checkpoint::DType::kF16;
  throw Error("--dtype '" + text + "' is not bf16, fp32 or fp16", "give one of these");
}

}  // namespace sluice::cli
