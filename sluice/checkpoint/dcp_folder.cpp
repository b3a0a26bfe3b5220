#include "sluice/checkpoint/dcp_folder.h"

#include <algorithm>
#include <utility>

#include "sluice/base/error.h"
#include "sluice/base/nearest.h"
#include "sluice/checkpoint/coverage.h"
#include "sluice/checkpoint/strict_json.h"
#include "sluice/checkpoint/torch_save.h"

namespace sluice::checkpoint {
namespace {

const char* const kRemedy = "the checkpoint is damaged or not all of its files are here: copy it again, or take another one";

DcpMetadata read_metadata(const fs::path& folder) {
  const fs::path path = folder / ".metadata";
  std::error_code unreachable;
  if (!fs::is_regular_file(path, unreachable))
    throw Error(folder.string() + " has no .metadata file",
                "give a folder that torch.distributed.checkpoint or Megatron's torch_dist wrote");
  const MappedFile file(path);
  return parse_dcp_metadata(file.bytes(), path.string());
}

// Whether two boxes of one tensor share an element: intersect() without its result, for loops over many thousand chunks.
bool overlap(const Box& a, const Box& b) {
  for (std::size_t d = 0; d < a.offsets.size(); ++d) {
    if (std::max(a.offsets[d], b.offsets[d]) >= std::min(a.offsets[d] + a.lengths[d], b.offsets[d] + b.lengths[d])) return false;
  }
  return true;
}

}  // namespace

DcpFolder::DcpFolder(const fs::path& folder) : folder_(folder), metadata_(read_metadata(folder)) {
  const auto open = [&](const DcpPlace& place, const std::string& what) {
    auto& file = files_[place.file];
    if (!file) file = std::make_unique<MappedFile>(folder_ / place.file);
    bytes_at(place, what);
  };
  for (const auto& [name, tensor] : metadata_.tensors) {
    std::vector<LocatedBox> boxes;
    for (const DcpChunk& chunk : tensor.chunks) {
      open(chunk.place, "tensor " + in_quotes(name));
      boxes.push_back({chunk.box, (folder_ / chunk.place.file).string()});
    }
    check_coverage("tensor " + in_quotes(name) + " in " + folder_.string(), tensor.shape, std::move(boxes));
    infos_[name] = {tensor.dtype, tensor.shape};
  }
  for (const auto& [name, place] : metadata_.objects) open(place, "object " + in_quotes(name));
}

std::span<const std::byte> DcpFolder::bytes_at(const DcpPlace& place, const std::string& what) const {
  const auto bytes = files_.at(place.file)->bytes();
  if (place.offset > bytes.size() || place.num_bytes > bytes.size() - place.offset) {
    throw Error(what + " should be " + std::to_string(place.num_bytes) + " bytes at " + std::to_string(place.offset) + " of " +
                    (folder_ / place.file).string() + ", which has " + std::to_string(bytes.size()),
                kRemedy);
  }
  return bytes.subspan(place.offset, place.num_bytes);
}

std::vector<std::string> DcpFolder::names() const {
  std::vector<std::string> names;
  for (const auto& [name, info] : infos_) names.push_back(name);
  return names;
}

std::vector<std::string> DcpFolder::object_names() const {
  std::vector<std::string> names;
  for (const auto& [name, place] : metadata_.objects) names.push_back(name);
  return names;
}

const DcpFolder::Info* DcpFolder::find(std::string_view name) const {
  const auto found = infos_.find(name);
  return found == infos_.end() ? nullptr : &found->second;
}

std::span<const std::byte> DcpFolder::object(std::string_view name) const {
  const auto found = metadata_.objects.find(name);
  if (found == metadata_.objects.end())
    throw Error("the checkpoint " + folder_.string() + " has no object " + in_quotes(name),
                "the nearest name is " + in_quotes(nearest(name, object_names())));
  return bytes_at(found->second, "object " + in_quotes(name));
}

void DcpFolder::read(std::string_view name, std::span<std::byte> out) const {
  const Info* info = find(name);
  read(name, info ? whole(info->shape) : Box{}, out);
}

void DcpFolder::read(std::string_view name, const Box& box, std::span<std::byte> out) const {
  const auto found = metadata_.tensors.find(name);
  if (found == metadata_.tensors.end()) {
    throw Error("the checkpoint " + folder_.string() + " has no tensor " + in_quotes(name) + " among its " + std::to_string(infos_.size()),
                "give a checkpoint of this model; the nearest name is " + in_quotes(nearest(name, names())));
  }
  const DcpTensor& tensor = found->second;
  const std::size_t element = size_bytes(tensor.dtype);
  const auto inside = num_elements(box) == 0 ? std::optional<Box>(box) : intersect(box, whole(tensor.shape));
  SLUICE_CHECK(inside && *inside == box && out.size() == num_elements(box) * element,
               "a buffer of " + std::to_string(out.size()) + " bytes for " + to_string(box) + " of " + found->first);
  for (const DcpChunk& chunk : tensor.chunks) {
    if (!overlap(chunk.box, box)) continue;
    const std::string what = "tensor " + in_quotes(name) + " " + to_string(chunk.box);
    const std::string where = (folder_ / chunk.place.file).string() + ": " + what;
    const TorchArchive archive(bytes_at(chunk.place, what), where);
    const StridedTensor stored = archive.tensor(archive.root());
    if (stored.dtype != tensor.dtype || stored.shape != chunk.box.lengths) {
      throw Error(where + " is " + std::string(dtype_name(stored.dtype)) + " " + shape_text(stored.shape) + " where .metadata says " +
                      std::string(dtype_name(tensor.dtype)) + " " + shape_text(chunk.box.lengths),
                  kRemedy);
    }
    if (stored.is_contiguous()) {
      copy_shared(stored.bytes, chunk.box, out, box, element);
      continue;
    }
    const Box shared = intersect(chunk.box, box).value();
    Box local = shared;  // in the chunk's own numbers
    for (std::size_t d = 0; d < local.offsets.size(); ++d) local.offsets[d] -= chunk.box.offsets[d];
    std::vector<std::byte> packed(num_elements(local) * element);
    copy_box(stored, local, packed);
    copy_shared(packed, shared, out, box, element);
  }
}

}  // namespace sluice::checkpoint
