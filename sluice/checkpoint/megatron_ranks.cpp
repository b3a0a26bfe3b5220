#include "sluice/checkpoint/megatron_ranks.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "sluice/base/error.h"
#include "sluice/checkpoint/coverage.h"
#include "sluice/checkpoint/megatron_rank_files.h"
#include "sluice/checkpoint/strict_json.h"

namespace sluice::checkpoint {
namespace {

using Shape = std::vector<std::int64_t>;

const char* const kRemedy = "give the config.json that belongs to the weights, and all files of the checkpoint";

// One tensor's parts by tensor rank.
struct Gathered {
  std::map<int, StridedTensor> by_rank;
  std::string where;  // the first file that holds it
};

// The whole of the embedding, whose rows alone may be padded: its ranks' rows together.
Shape stacked_shape(const Gathered& gathered) {
  Shape shape = gathered.by_rank.begin()->second.shape;
  if (!shape.empty()) shape[0] *= static_cast<std::int64_t>(gathered.by_rank.size());
  return shape;
}

// The dim that `ranks` equal parts divide; nothing when a part is the whole. Error when neither is so.
std::optional<std::size_t> cut_dim(const Shape& part, const Shape& all, std::size_t ranks, const std::string& what) {
  if (part == all) return std::nullopt;
  std::optional<std::size_t> dim;
  bool fits = part.size() == all.size();
  for (std::size_t d = 0; fits && d < all.size(); ++d) {
    if (part[d] == all[d]) continue;
    fits = !dim && part[d] * static_cast<std::int64_t>(ranks) == all[d];
    dim = d;
  }
  if (!fits) {
    throw Error(what + " is " + shape_text(part) + " on each of " + std::to_string(ranks) + " tensor ranks, which do not make up " +
                    shape_text(all),
                kRemedy);
  }
  return dim;
}

Box part_of(const Shape& shape, std::size_t dim, std::int64_t begin, std::int64_t length) {
  Box box = whole(shape);
  box.offsets[dim] = begin;
  box.lengths[dim] = length;
  return box;
}

// Rows of the gate come first, then those of up: each rank has its share of both.
bool is_gate_and_up(std::string_view name, std::size_t dim) {
  return dim == 0 && name.find(".linear_fc1.") != std::string_view::npos && !name.ends_with("layer_norm_weight");
}

}  // namespace

fs::path latest_megatron_iteration(const fs::path& folder) {
  const fs::path tracker = folder / "latest_checkpointed_iteration.txt";
  std::error_code unreachable;
  if (!fs::exists(tracker, unreachable)) return folder;
  std::string text = read_file(tracker);
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  if (text == "release") return folder / text;
  if (text.empty() || text.size() > 9 || text.find_first_not_of("0123456789") != std::string::npos) {
    throw Error(tracker.string() + " holds " + in_quotes(text) + ", which is no iteration",
                "give the folder of an iteration, such as iter_0000500");
  }
  return folder / ("iter_" + std::string(text.size() < 7 ? 7 - text.size() : 0, '0') + text);
}

MegatronRanks::MegatronRanks(const fs::path& folder, const MegatronSizes& sizes) {
  std::vector<MegatronRank> ranks;
  for (const MegatronRankPath& path : find_megatron_ranks(folder)) {
    auto bytes = std::make_unique<MappedFile>(path.file);
    auto archive = std::make_unique<TorchArchive>(bytes->bytes(), path.file.string());
    ranks.push_back(describe_megatron_rank(path, archive->root()));
    files_.push_back({std::move(bytes), std::move(archive)});
  }
  std::map<std::string, Gathered, std::less<>> gathered;
  for (const MegatronRankTensor& tensor : name_megatron_tensors(ranks)) {
    Gathered& group = gathered[tensor.name];
    if (group.where.empty()) group.where = ranks[tensor.rank].where;
    // Expert ranks hold copies of what is no expert; the first one's counts.
    group.by_rank.try_emplace(ranks[tensor.rank].tensor, files_[tensor.rank].archive->tensor(*tensor.value));
  }
  Shape vocabulary;
  const auto shape_of = [&](std::string_view name) -> const Shape* {
    const auto found = gathered.find(name);
    if (found == gathered.end()) return nullptr;
    vocabulary = stacked_shape(found->second);
    return &vocabulary;
  };
  map_ = megatron_map(sizes, detect_megatron_naming(sizes, shape_of, folder.string()));
  for (const auto& [name, shape] : map_.megatron) {
    const auto found = gathered.find(name);
    if (found == gathered.end()) throw Error(folder.string() + " has no tensor " + name, kRemedy);
    const Gathered& group = found->second;
    const StridedTensor& first = group.by_rank.begin()->second;
    const std::string what = "tensor " + name + " in " + group.where;
    const auto dim = cut_dim(first.shape, shape, group.by_rank.size(), what);
    Entry& entry = entries_[name];
    entry.info = {first.dtype, shape};
    std::int64_t index = 0;
    for (const auto& [rank, tensor] : group.by_rank) {
      if (tensor.shape != first.shape || tensor.dtype != first.dtype)
        throw Error(what + " differs in type or shape from that of tensor rank " + std::to_string(rank), kRemedy);
      if (!dim) {
        entry.parts.push_back({tensor, whole(shape), whole(shape)});
        break;  // the other ranks have copies
      }
      const std::int64_t length = tensor.shape[*dim], halves = is_gate_and_up(name, *dim) ? 2 : 1, each = length / halves;
      for (std::int64_t half = 0; half < halves; ++half) {
        const std::int64_t begin = half * shape[*dim] / halves + index * each;
        entry.parts.push_back({tensor, part_of(tensor.shape, *dim, half * each, each), part_of(shape, *dim, begin, each)});
      }
      ++index;
    }
    std::vector<LocatedBox> boxes;
    for (const Part& part : entry.parts) boxes.push_back({part.global, group.where});
    check_coverage(what, shape, std::move(boxes));
  }
  for (const auto& [name, group] : gathered) {
    if (!map_.megatron.contains(name)) others_.push_back(name);
  }
  check_nothing_left(map_, others_, folder.string());
}

std::vector<std::string> MegatronRanks::names() const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries_) names.push_back(name);
  return names;
}

const MegatronRanks::Info* MegatronRanks::find(std::string_view name) const {
  const auto found = entries_.find(name);
  return found == entries_.end() ? nullptr : &found->second.info;
}

void MegatronRanks::read(std::string_view name, const Box& box, std::span<std::byte> out) const {
  const auto found = entries_.find(name);
  SLUICE_CHECK(found != entries_.end(), "no tensor " + std::string(name));
  const Entry& entry = found->second;
  const std::size_t element = size_bytes(entry.info.dtype);
  const auto inside = num_elements(box) == 0 ? std::optional<Box>(box) : intersect(box, whole(entry.info.shape));
  SLUICE_CHECK(inside && *inside == box && out.size() == num_elements(box) * element,
               "a buffer of " + std::to_string(out.size()) + " bytes for " + to_string(box) + " of " + found->first);
  std::vector<std::byte> packed;
  for (const Part& part : entry.parts) {
    const auto shared = intersect(part.global, box);
    if (!shared) continue;
    Box local = *shared;  // in the numbers of the rank's tensor
    for (std::size_t d = 0; d < local.offsets.size(); ++d) local.offsets[d] += part.local.offsets[d] - part.global.offsets[d];
    packed.resize(num_elements(local) * element);
    copy_box(part.tensor, local, packed);
    copy_shared(packed, *shared, out, box, element);
  }
}

}  // namespace sluice::checkpoint
