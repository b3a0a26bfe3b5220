#include "sluice/checkpoint/hf_folder.h"

#include <algorithm>
#include <map>
#include <set>

#include "sluice/base/error.h"
#include "sluice/base/nearest.h"
#include "sluice/checkpoint/strict_json.h"

namespace sluice::checkpoint {
namespace {

constexpr const char* kSingleName = "model.safetensors";
constexpr const char* kIndexName = "model.safetensors.index.json";
const char* const kRemedy = "download or convert the weights again, all files of them";

// File -> the tensors that the index puts there.
using ShardMap = std::map<std::string, std::set<std::string>>;

bool is_plain_name(const std::string& file) {
  return file.ends_with(".safetensors") && file.find_first_of(std::string_view("/\0", 2)) == std::string::npos;
}

bool is_there(const fs::path& path) {
  std::error_code unreachable;  // what cannot be looked at is not there for us either
  return fs::exists(path, unreachable);
}

ShardMap read_index(const fs::path& path) {
  const std::string where = path.string();
  const MappedFile file(path);
  if (file.bytes().size() > kMaxHeaderBytes) {
    throw Error(where + " is larger than the limit of " + std::to_string(kMaxHeaderBytes) + " bytes for an index", kRemedy);
  }
  const Json index = parse_strict_json({reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()}, where);
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object()) {
    throw Error(where + " has no object \"weight_map\"", kRemedy);
  }
  ShardMap shards;
  for (const auto& [name, shard] : index["weight_map"].items()) {
    if (!shard.is_string()) throw Error(where + ": weight_map gives tensor " + in_quotes(name) + " no file name", kRemedy);
    const auto& file_name = shard.get_ref<const std::string&>();
    if (!is_plain_name(file_name)) {
      throw Error(where + ": weight_map puts tensor " + in_quotes(name) + " into " + in_quotes(file_name) +
                      ", which is not the name of a .safetensors file in the same folder",
                  "name files of that folder only");
    }
    shards[file_name].insert(name);
  }
  if (shards.empty()) throw Error(where + ": weight_map is empty", kRemedy);
  return shards;
}

// The index and one of its files agree on the tensors in it.
void check_shard(const SafetensorsFile& file, const std::set<std::string>& expected, const fs::path& index_path) {
  for (const std::string& name : expected) {
    if (!file.find(name))
      throw Error(index_path.string() + " puts tensor " + in_quotes(name) + " into " + file.path().string() + ", which does not hold it",
                  kRemedy);
  }
  for (const TensorView& tensor : file.tensors()) {
    if (!expected.contains(tensor.name)) {
      throw Error(
          file.path().string() + " holds tensor " + in_quotes(tensor.name) + ", which " + index_path.string() + " does not put there",
          kRemedy);
    }
  }
}

}  // namespace

WeightFolder::WeightFolder(const fs::path& folder) : folder_(folder) {
  if (!is_there(folder) || !fs::is_directory(folder))
    throw Error(folder.string() + " is not a folder", "give a folder that holds " + std::string(kSingleName) + " or " + kIndexName);
  const fs::path single = folder / kSingleName, index_path = folder / kIndexName;
  const bool has_single = is_there(single), has_index = is_there(index_path);
  if (has_single && has_index) {
    throw Error(folder.string() + " holds both " + kSingleName + " and " + kIndexName + ", two sets of weights",
                "remove the one that you do not mean");
  }
  if (!has_single && !has_index) {
    throw Error(folder.string() + " holds no weights: neither " + kSingleName + " nor " + kIndexName,
                "give a Hugging Face model folder with safetensors weights (convert .bin weights with transformers' save_pretrained)");
  }
  has_single ? add_file(single) : open_shards(index_path);
}

void WeightFolder::open_shards(const fs::path& index_path) {
  for (const auto& [file, expected] : read_index(index_path)) {
    const fs::path path = folder_ / file;
    if (!is_there(path)) {
      throw Error(
          path.string() + " is missing, which " + index_path.string() + " names for " + std::to_string(expected.size()) + " tensors",
          kRemedy);
    }
    add_file(path);
    check_shard(*files_.back(), expected, index_path);
  }
}

void WeightFolder::add_file(const fs::path& path) {
  files_.push_back(std::make_unique<SafetensorsFile>(path));
  for (const TensorView& tensor : files_.back()->tensors()) {
    if (!index_.emplace(tensor.name, &tensor).second)
      throw Error("tensor " + in_quotes(tensor.name) + " is in two files, the second being " + path.string(), kRemedy);
    names_.push_back(tensor.name);
  }
}

std::uint64_t WeightFolder::num_bytes() const {
  std::uint64_t bytes = 0;
  for (const auto& [name, tensor] : index_) bytes += tensor->bytes.size();
  return bytes;
}

const TensorView* WeightFolder::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : found->second;
}

const TensorView& WeightFolder::require(std::string_view name) const {
  if (const TensorView* tensor = find(name)) return *tensor;
  throw Error("the weights in " + folder_.string() + " have no tensor " + in_quotes(name) + " among their " + std::to_string(names_.size()),
              names_.empty()
                  ? "give a folder that holds the model's weights"
                  : "check that config.json and the weights are of one model; the nearest name is " + in_quotes(nearest(name, names_)));
}

}  // namespace sluice::checkpoint
