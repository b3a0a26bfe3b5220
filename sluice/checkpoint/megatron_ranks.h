// Megatron's checkpoints of one file a rank, as --ckpt-format torch writes them: iter_0000500/mp_rank_TT[_PPP][_EEE]/model_optim_rng.pt,
// T counting tensor, P pipeline and E expert ranks. Each is a torch.save archive {"model": state dict, "args": ..., ...}; several
// virtual stages are "model0", "model1", ... Tensors are cut by tensor rank, layers numbered within a stage, experts within a rank.
#pragma once
#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/file.h"
#include "sluice/checkpoint/megatron_names.h"
#include "sluice/checkpoint/torch_save.h"

namespace sluice::checkpoint {

// The folder of the iteration that a checkpoint folder of Megatron names as its latest (latest_checkpointed_iteration.txt); the folder
// itself where it names none.
fs::path latest_megatron_iteration(const fs::path& folder);

// All ranks' weights as one set of whole tensors with global layer and expert numbers. One thread at a time.
class MegatronRanks {
 public:
  struct Info {
    DType dtype;
    std::vector<std::int64_t> shape;  // of the whole tensor
  };

  // Maps the files of `folder` (an iteration's). Error when there are none; when the files are not of the model that `sizes` describes: a
  // tensor is missing, cut in no way that Megatron cuts, or too many; and as TorchArchive.
  MegatronRanks(const fs::path& folder, const MegatronSizes& sizes);

  const MegatronMap& map() const { return map_; }  // its Megatron tensors are those that names() has
  std::vector<std::string> names() const;          // sorted
  const Info* find(std::string_view name) const;   // null when there is none
  // Tensors of the files that are no weights of the model, such as counters of the router.
  const std::vector<std::string>& others() const { return others_; }

  // Fills `out` with the elements in `box` of a tensor, row-major. No such tensor, a box outside it or a buffer of another size is a Bug.
  void read(std::string_view name, const Box& box, std::span<std::byte> out) const;

 private:
  struct Part {
    StridedTensor tensor;
    Box local, global;  // which elements of the rank's tensor are which of the whole
  };
  struct Entry {
    Info info;
    std::vector<Part> parts;
  };
  struct File {
    std::unique_ptr<MappedFile> bytes;
    std::unique_ptr<TorchArchive> archive;
  };

  std::vector<File> files_;
  MegatronMap map_;
  std::map<std::string, Entry, std::less<>> entries_;
  std::vector<std::string> others_;
};

}  // namespace sluice::checkpoint
