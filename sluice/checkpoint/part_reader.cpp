#include "sluice/checkpoint/part_reader.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <numeric>
#include <optional>

#include "sluice/base/error.h"

namespace sluice::checkpoint {
namespace {

using Numbers = std::vector<std::int64_t>;

// Elements of a tensor: in each dimension from `begin`, `lengths` of them.
struct Block {
  Numbers begin, lengths;
};

// The contiguous elements from `offset` on as a block; nothing where they are none.
std::optional<Block> block_of(const Numbers& shape, std::int64_t offset, std::int64_t count) {
  Block block{Numbers(shape.size()), Numbers(shape.size(), 1)};
  for (std::size_t d = shape.size(); d-- > 0; offset /= shape[d]) {
    const std::int64_t begin = offset % shape[d], length = std::min(shape[d], count);
    if (begin + length > shape[d] || count % length != 0) return std::nullopt;
    block.begin[d] = begin;
    block.lengths[d] = length;
    count /= length;
  }
  return count == 1 ? std::optional(block) : std::nullopt;
}

// A tensor of a folder, and the block of a parameter that it holds.
struct Stored {
  models::TensorSpec spec;  // by which a reader finds it: its parameter has the tensor's own shape
  Block block;
  bool transposed = false;  // the tensor is the block with its last two dimensions swapped
};

std::vector<Stored> stored_tensors(const models::TensorSpec& spec, FolderKind kind) {
  const Numbers& shape = spec.parameter.shape;
  const Stored whole{spec, {Numbers(shape.size(), 0), shape}};
  if (kind == FolderKind::kNative) return {whole};
  std::vector<Stored> out;
  for (const models::HfPart& part : spec.hf) {
    const std::int64_t count = std::accumulate(part.shape.begin(), part.shape.end(), std::int64_t{1}, std::multiplies());
    const auto block = block_of(shape, part.offset, count);
    if (!block) return {whole};
    models::TensorSpec alone{spec.parameter, spec.shard, {part}};
    alone.parameter.shape = part.shape;
    alone.hf[0].offset = 0;
    alone.hf[0].layout = models::HfLayout::kSame;
    out.push_back({alone, *block, part.layout == models::HfLayout::kTransposed});
  }
  return out;
}

// What a block holds of a piece, as a piece of the block: `from` counts from the block's first element. No elements: nothing.
nn::Piece overlap(const nn::Piece& piece, const Block& block) {
  nn::Piece out = piece;
  for (std::size_t d = 0; d < piece.from.size(); ++d) {
    const std::int64_t begin = std::max(piece.from[d], block.begin[d]);
    out.lengths[d] = std::max<std::int64_t>(0, std::min(piece.from[d] + piece.lengths[d], block.begin[d] + block.lengths[d]) - begin);
    out.from[d] = begin - block.begin[d];
    out.to[d] = piece.to[d] + begin - piece.from[d];
  }
  return out;
}

bool has_elements(const nn::Piece& piece) { return std::ranges::all_of(piece.lengths, [](std::int64_t length) { return length > 0; }); }

// In the tensor's own shape: where it lies in a file, else a copy.
at::Tensor values_of(WeightReader& weights, const models::TensorSpec& spec) {
  for (const at::ScalarType type : {at::kBFloat16, at::kFloat, at::kHalf}) {
    if (const at::Tensor mapped = weights.mapped(spec, type); mapped.defined()) return mapped;
  }
  const at::Tensor copy = at::empty(spec.parameter.shape, at::kFloat);
  weights.read(spec, copy);
  return copy;
}

// Gives back the pages of values that are not used any more: those of a file would count as the program's memory beside the copy.
void forget(const at::Tensor& values) {
  constexpr std::uintptr_t kPage = 4096;
  const auto first = reinterpret_cast<std::uintptr_t>(values.const_data_ptr()), begin = (first + kPage - 1) / kPage * kPage, end = (first + values.nbytes()) / kPage * kPage;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace

void read_part(FolderKind kind, WeightReader& weights, const models::TensorSpec& spec, const nn::Part& part, const at::Tensor& out) {
  for (const Stored& stored : stored_tensors(spec, kind)) {
    std::vector<nn::Piece> pieces;
    for (const nn::Piece& piece : part.pieces) pieces.push_back(overlap(piece, stored.block));
    std::erase_if(pieces, std::not_fn(has_elements));
    if (pieces.empty()) continue;
    const at::Tensor values = values_of(weights, stored.spec);
    const at::Tensor ours = (stored.transposed ? values.transpose(-1, -2) : values).view(stored.block.lengths);
    nn::copy_pieces({spec.parameter.shape, pieces}, ours, out);
    forget(values);
  }
}

void map_or_read_parts(const ModelFolder& folder, WeightReader& weights, const std::vector<models::TensorSpec>& table, nn::ParameterStore& store) {
  const at::NoGradGuard no_grad;
  std::vector<models::TensorSpec> whole;
  for (const models::TensorSpec& spec : table) {
    const nn::Parameter& parameter = store.at(spec.parameter.name);
    if (parameter.spec.is_whole()) whole.push_back(spec);
    else if (parameter.spec.is_elsewhere()) parameter.value.zero_();
    else read_part(folder.kind, weights, spec, parameter.spec.part, parameter.value);
  }
  map_or_read(weights, whole, store);
}

}  // namespace sluice::checkpoint
