// Weights in Hugging Face's layout: model.safetensors alone, or model-0000i-of-0000n.safetensors with model.safetensors.index.json.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sluice/checkpoint/safetensors.h"
#include "sluice/checkpoint/safetensors_writer.h"

namespace sluice::checkpoint {

// All tensors of such a folder, mapped read-only. The views live as long as the object.
class WeightFolder {
 public:
  // Error when the folder holds no weights or both layouts at once; when the index names a file outside the folder or one that is
  // missing; when the index and the files disagree about which tensor is where; when a tensor is in two files; and as SafetensorsFile.
  explicit WeightFolder(const fs::path& folder);

  const fs::path& path() const { return folder_; }
  const std::vector<std::string>& names() const { return names_; }  // file by file, each in the order of its bytes
  std::uint64_t num_bytes() const;                                  // of all tensors
  const TensorView* find(std::string_view name) const;              // null when there is none
  const TensorView& require(std::string_view name) const;           // Error naming the nearest name when there is none

 private:
  void open_shards(const fs::path& index_path);
  void add_file(const fs::path& path);

  fs::path folder_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::vector<std::string> names_;
  std::unordered_map<std::string_view, const TensorView*> index_;
};

// The largest file unless one tensor alone is larger; transformers' own default is 5 GB.
inline constexpr std::uint64_t kMaxShardBytes = 5'000'000'000;

// One file of such a folder: tensors [first, last) of a list.
struct WeightFile {
  std::string name;
  std::size_t first = 0, last = 0;
};

// How `tensors` are shared out: each file is filled as far as the limit allows before the next one begins.
std::vector<WeightFile> plan_weight_files(const std::vector<TensorSpec>& tensors, std::uint64_t max_shard_bytes = kMaxShardBytes);

// model.safetensors.index.json of more than one file.
inline constexpr const char* kWeightIndexName = "model.safetensors.index.json";
std::string weight_index(const std::vector<TensorSpec>& tensors, const std::vector<WeightFile>& files);

// Writes `tensors` into `folder` (made if absent) in the given order, as one file or as shards of at most `max_shard_bytes` with an
// index; metadata {"format": "pt"}. Weights already there are replaced only when all new files are whole. Equal input, equal bytes.
// Error on a full disk or a name that is not UTF-8: the folder's old weights are then untouched.
void write_weight_folder(const fs::path& folder, const std::vector<TensorSpec>& tensors, const TensorSource& source,
                         std::uint64_t max_shard_bytes = kMaxShardBytes, WriteObserver* observer = nullptr);

}  // namespace sluice::checkpoint
