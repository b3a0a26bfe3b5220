#include <algorithm>
#include <cstdio>

#include "sluice/base/error.h"
#include "sluice/checkpoint/hf_folder.h"
#include "sluice/checkpoint/strict_json.h"

namespace sluice::checkpoint {
namespace {

std::string shard_name(std::size_t number, std::size_t count) {
  char name[64];
  std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", number, count);
  return name;
}

// Weights of either layout, the index first: without it, or with it alone, nobody takes a half-replaced folder for a whole one.
std::vector<fs::path> old_weights(const fs::path& folder) {
  std::vector<fs::path> shards, old;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    unsigned number = 0, count = 0;
    if (std::sscanf(name.c_str(), "model-%5u-of-%5u", &number, &count) == 2 && name == shard_name(number, count))
      shards.push_back(entry.path());
  }
  std::ranges::sort(shards);
  for (const char* name : {kWeightIndexName, "model.safetensors"}) {
    if (fs::exists(folder / name)) old.push_back(folder / name);
  }
  old.insert(old.end(), shards.begin(), shards.end());
  return old;
}

// A folder that is removed, with what is still in it, when it goes out of scope.
class TemporaryFolder {
 public:
  TemporaryFolder(const fs::path& path, WriteObserver* observer) : path_(path) {
    remove_folder_observed(path_, observer);  // of a writer that was killed
    create_folder_observed(path_, observer);
  }
  ~TemporaryFolder() {
    std::error_code ignored;  // what went wrong before is what gets reported
    fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

}  // namespace

std::vector<WeightFile> plan_weight_files(const std::vector<TensorSpec>& tensors, std::uint64_t max_shard_bytes) {
  std::vector<WeightFile> files(1);
  std::uint64_t filled = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::uint64_t bytes = tensors[i].num_bytes();
    if (filled > 0 && (bytes > max_shard_bytes || filled > max_shard_bytes - bytes)) {
      files.push_back({"", i, i});
      filled = 0;
    }
    files.back().last = i + 1;
    filled += bytes;
  }
  for (std::size_t i = 0; i < files.size(); ++i) files[i].name = files.size() == 1 ? "model.safetensors" : shard_name(i + 1, files.size());
  return files;
}

std::string weight_index(const std::vector<TensorSpec>& tensors, const std::vector<WeightFile>& files) {
  std::uint64_t total = 0;
  Json weight_map = Json::object();
  for (const WeightFile& file : files) {
    for (std::size_t i = file.first; i < file.last; ++i) {
      total += tensors[i].num_bytes();
      weight_map[tensors[i].name] = file.name;
    }
  }
  const Json index = {{"metadata", {{"total_size", total}}}, {"weight_map", std::move(weight_map)}};
  return index.dump(2, ' ', true) + "\n";
}

void write_weight_folder(const fs::path& folder, const std::vector<TensorSpec>& tensors, const TensorSource& source,
                         std::uint64_t max_shard_bytes, WriteObserver* observer) {
  const std::vector<WeightFile> shards = plan_weight_files(tensors, max_shard_bytes);
  create_folder_observed(folder, observer);
  const TemporaryFolder temporary(folder / ".tmp-weights", observer);
  std::vector<std::string> files;
  for (const WeightFile& shard : shards) {
    const std::vector<TensorSpec> part(tensors.begin() + static_cast<std::ptrdiff_t>(shard.first),
                                       tensors.begin() + static_cast<std::ptrdiff_t>(shard.last));
    write_safetensors(
        temporary.path() / shard.name, part, [&](std::size_t i) { return source(shard.first + i); }, {{"format", "pt"}},
        SafetensorsWriter::Checksums::kNone, observer);
    files.push_back(shard.name);
  }
  if (shards.size() > 1) {
    files.emplace_back(kWeightIndexName);
    write_whole_file(temporary.path() / files.back(), weight_index(tensors, shards), observer);
  }
  for (const fs::path& old : old_weights(folder)) remove_folder_observed(old, observer);
  for (const std::string& file : files) rename_observed(temporary.path() / file, folder / file, observer);
  sync_folder_observed(folder, observer);
}

}  // namespace sluice::checkpoint
