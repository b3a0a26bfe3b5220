// A model's weights under Hugging Face's names, whatever holds them, read one tensor at a time.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "sluice/checkpoint/model_io.h"

namespace sluice::convert {

// One HF tensor of a model, and the parameter that it belongs to.
struct Part {
  const models::TensorSpec* spec;
  const models::HfPart* hf;
};

class Reader {
 public:
  virtual ~Reader() = default;
  // The type that read() gives: the file's own, or BF16 for block-scaled types.
  virtual checkpoint::DType dtype(const Part& part) const = 0;
  // The tensor in HF's shape, contiguous; it may lie over the file's bytes. No longer used once the next is asked for.
  virtual at::Tensor read(const Part& part) = 0;
};

// Each of the two makes sure first that the folder's tensors are exactly those of `table`: an Error lists what is missing, what nothing
// uses, and shapes that differ. `table` outlives the reader.
//   HF folders        F32, BF16, F16, F64; FP8 with scales a block (NAME_scale_inv, DeepSeek-V3) and MXFP4 (NAME_blocks and NAME_scales,
//                     gpt-oss), both as BF16
//   native folders    step folders, and folders of torch.distributed.checkpoint's HuggingFaceStorageWriter with our names
std::unique_ptr<Reader> open_hf_reader(const checkpoint::ModelFolder& folder, const std::vector<models::TensorSpec>& table);
std::unique_ptr<Reader> open_native_reader(const checkpoint::ModelFolder& folder, const std::vector<models::TensorSpec>& table);

// Megatron-Core's: torch_dist folders (.metadata and *.distcp), and folders of mp_rank_* files. `config` is the model's config.json.
bool is_megatron_folder(const fs::path& folder);
std::unique_ptr<Reader> open_megatron_reader(const fs::path& folder, const Json& config, const std::vector<models::TensorSpec>& table);

}  // namespace sluice::convert
