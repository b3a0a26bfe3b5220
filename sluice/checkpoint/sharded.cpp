#include "sluice/checkpoint/sharded.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "sluice/base/crc32c.h"
#include "sluice/base/error.h"
#include "sluice/base/nearest.h"
#include "sluice/checkpoint/coverage.h"
#include "sluice/checkpoint/strict_json.h"

namespace sluice::checkpoint {
namespace {

const char* const kRemedy = "the checkpoint is damaged or not all of its files are here: copy it again, or resume from an earlier one";

using Numbers = std::vector<std::int64_t>;

// A JSON list of whole numbers, none negative.
Numbers read_numbers(const Json& list, const std::string& where) {
  if (!list.is_array()) throw Error(where + " is not a list of numbers", kRemedy);
  Numbers numbers;
  for (const Json& item : list) {
    if (!item.is_number_unsigned() || item.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      throw Error(where + " holds " + in_quotes(dump_json(item)) + ", which is not a count", kRemedy);
    }
    numbers.push_back(item.get<std::int64_t>());
  }
  return numbers;
}

// The JSON object that a file's metadata holds under `key`; null when there is no such key.
Json read_note(const SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end()) return nullptr;
  const std::string where = file.path().string() + ": " + key + " in the metadata";
  Json note = parse_strict_json(found->second, where);
  if (!note.is_object()) throw Error(where + " is not an object", kRemedy);
  return note;
}

// The entry of a note for one tensor. Error when it is missing: a note speaks of every tensor of its file.
const Json& note_of(const Json& note, const TensorView& tensor, const std::string& key, const SafetensorsFile& file) {
  const auto found = note.find(tensor.name);
  if (found == note.end())
    throw Error(file.path().string() + ": " + key + " in the metadata does not mention tensor " + in_quotes(tensor.name), kRemedy);
  return *found;
}

std::string tensor_in(const std::string& name, const SafetensorsFile& file) {
  return "tensor " + in_quotes(name) + " in " + file.path().string();
}

// Where the part lies in the whole tensor. Error when its far corner cannot be counted.
Box part_box(const TensorView& tensor, const Json& sharding, const SafetensorsFile& file) {
  Box box = whole(tensor.shape);
  if (sharding.is_null()) return box;
  const std::string where = tensor_in(tensor.name, file) + ": saved_offsets";
  const Json& entry = note_of(sharding, tensor, "DCP_SHARDING_INFO", file);
  if (!entry.is_object() || !entry.contains("saved_offsets")) throw Error(where + " are missing", kRemedy);
  box.offsets = read_numbers(entry["saved_offsets"], where);
  if (box.offsets.size() != tensor.shape.size()) {
    throw Error(where + " " + shape_text(box.offsets) + " do not fit its shape " + shape_text(tensor.shape), kRemedy);
  }
  for (std::size_t d = 0; d < box.offsets.size(); ++d) {
    if (box.offsets[d] > std::numeric_limits<std::int64_t>::max() - box.lengths[d])
      throw Error(where + " " + shape_text(box.offsets) + " are too large", kRemedy);
  }
  return box;
}

}  // namespace

ShardedFolder::ShardedFolder(const fs::path& folder, Checksums checksums) : folder_(folder) {
  std::error_code unreachable;
  std::vector<fs::path> paths;
  for (fs::directory_iterator entry(folder, unreachable); !unreachable && entry != fs::directory_iterator(); entry.increment(unreachable)) {
    if (entry->path().extension() == ".safetensors") paths.push_back(entry->path());
  }
  if (unreachable) throw Error("cannot read the folder " + folder.string() + ": " + unreachable.message(), "give a checkpoint folder");
  if (paths.empty())
    throw Error(folder.string() + " holds no .safetensors files", "give a checkpoint folder, such as RUN/checkpoints/step-00000500");
  std::ranges::sort(paths);
  for (const fs::path& path : paths) add_file(path, checksums);
  for (const auto& [name, entry] : entries_) {
    std::vector<LocatedBox> boxes;
    for (const Part& part : entry.parts) boxes.push_back({part.box, part.file->path().string()});
    check_coverage("tensor " + in_quotes(name) + " in " + folder_.string(), entry.info.shape, boxes);
  }
}

void ShardedFolder::add_file(const fs::path& path, Checksums checksums) {
  files_.push_back(std::make_unique<SafetensorsFile>(path));
  checksums_.push_back(std::make_unique<std::map<std::string, std::string>>());
  const SafetensorsFile& file = *files_.back();
  const Json sharding = read_note(file, "DCP_SHARDING_INFO"), shapes = read_note(file, "sluice_global_shape"),
             sums = read_note(file, kChecksumKey);
  for (const TensorView& tensor : file.tensors()) {
    Part part{&file, &tensor, part_box(tensor, sharding, file), nullptr};
    if (!sums.is_null() && checksums == Checksums::kVerify) {
      const Json& sum = note_of(sums, tensor, kChecksumKey, file);
      if (!sum.is_string()) throw Error(tensor_in(tensor.name, file) + ": the checksum is not text", kRemedy);
      part.checksum = &checksums_.back()->emplace(tensor.name, sum.get<std::string>()).first->second;
    }
    if (shapes.is_null()) {
      add_part(tensor.name, part, nullptr);
    } else {
      const Numbers shape =
          read_numbers(note_of(shapes, tensor, "sluice_global_shape", file), tensor_in(tensor.name, file) + ": the whole shape");
      add_part(tensor.name, part, &shape);
    }
  }
}

void ShardedFolder::add_part(const std::string& name, Part part, const Numbers* global_shape) {
  const std::string here = tensor_in(name, *part.file);
  const auto [found, first] = entries_.try_emplace(name);
  Entry& entry = found->second;
  Info& info = entry.info;
  if (first) {
    info = {part.tensor->dtype, global_shape ? *global_shape : Numbers(part.box.lengths.size(), 0)};
    entry.shape_recorded = global_shape != nullptr;
  }
  const std::string other = first ? "" : ", but in " + entry.parts.front().file->path().string() + " ";
  if (part.tensor->dtype != info.dtype) {
    throw Error(here + " is " + std::string(dtype_name(part.tensor->dtype)) + other + std::string(dtype_name(info.dtype)), kRemedy);
  }
  if (part.box.lengths.size() != info.shape.size() || (global_shape != nullptr) != entry.shape_recorded ||
      (global_shape && *global_shape != info.shape)) {
    throw Error(here + " is part of a whole of shape " + (global_shape ? shape_text(*global_shape) : "not recorded") + ", itself " +
                    shape_text(part.box.lengths) + (first ? "" : other + "of " + shape_text(info.shape)),
                kRemedy);
  }
  for (std::size_t d = 0; d < info.shape.size(); ++d) {
    const std::int64_t end = part.box.offsets[d] + part.box.lengths[d];
    if (!global_shape) {
      info.shape[d] = std::max(info.shape[d], end);
    } else if (end > info.shape[d]) {
      throw Error(here + " holds " + to_string(part.box) + ", outside the whole shape " + shape_text(info.shape), kRemedy);
    }
  }
  if (!tensor_bytes(info.dtype, info.shape))
    throw Error(here + " has the whole shape " + shape_text(info.shape) + ", more elements than can be counted", kRemedy);
  entry.parts.push_back(std::move(part));
}

std::vector<std::string> ShardedFolder::names() const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries_) names.push_back(name);
  return names;
}

const ShardedFolder::Info* ShardedFolder::find(std::string_view name) const {
  const auto found = entries_.find(name);
  return found == entries_.end() ? nullptr : &found->second.info;
}

void ShardedFolder::read(std::string_view name, std::span<std::byte> out) {
  const Info* info = find(name);
  read(name, info ? whole(info->shape) : Box{}, out);
}

std::pair<const std::string, ShardedFolder::Entry>& ShardedFolder::require(std::string_view name) {
  const auto found = entries_.find(name);
  if (found != entries_.end()) return *found;
  throw Error(
      "the checkpoint " + folder_.string() + " has no tensor " + in_quotes(name) + " among its " + std::to_string(entries_.size()),
      "give a checkpoint of this model" + (entries_.empty() ? "" : "; the nearest name is " + in_quotes(nearest(name, names()))));
}

std::optional<TensorView> ShardedFolder::in_one_part(std::string_view name) {
  auto& [stored_name, entry] = require(name);
  Part& part = entry.parts.front();
  if (entry.parts.size() > 1 || part.box.lengths != entry.info.shape) return std::nullopt;
  verify(stored_name, part);
  return *part.tensor;
}

void ShardedFolder::read(std::string_view name, const Box& box, std::span<std::byte> out) {
  auto& [stored_name, entry] = require(name);
  bool inside = box.offsets.size() == entry.info.shape.size() && box.lengths.size() == entry.info.shape.size();
  for (std::size_t d = 0; inside && d < entry.info.shape.size(); ++d) {
    inside = box.offsets[d] >= 0 && box.lengths[d] >= 0 && box.offsets[d] <= entry.info.shape[d] &&
             box.lengths[d] <= entry.info.shape[d] - box.offsets[d];
  }
  SLUICE_CHECK(inside, shape_text(box.lengths) + " at " + shape_text(box.offsets) + " of tensor " + stored_name + " " +
                           shape_text(entry.info.shape));
  const std::size_t element_bytes = size_bytes(entry.info.dtype);
  SLUICE_CHECK(out.size() == num_elements(box) * element_bytes,
               "a buffer of " + std::to_string(out.size()) + " bytes for " + to_string(box) + " of " + stored_name);
  for (Part& part : entry.parts) {
    if (!intersect(part.box, box)) continue;
    verify(stored_name, part);
    copy_shared(part.tensor->bytes, part.box, out, box, element_bytes);
  }
}

void ShardedFolder::verify(const std::string& name, Part& part) const {
  if (!part.checksum) return;
  const std::string actual = checksum_text(crc32c(part.tensor->bytes));
  if (actual != *part.checksum) {
    throw Error(tensor_in(name, *part.file) + " has the checksum " + actual + " where " + in_quotes(*part.checksum) +
                    " was written: its bytes have changed",
                kRemedy);
  }
  part.checksum = nullptr;
}

}  // namespace sluice::checkpoint
