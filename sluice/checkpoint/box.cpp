#include "sluice/checkpoint/box.h"

#include <algorithm>
#include <cstring>

#include "sluice/base/error.h"

namespace sluice::checkpoint {
namespace {

std::int64_t end(const Box& box, std::size_t dim) { return box.offsets[dim] + box.lengths[dim]; }

// Elements from the start of a row-major buffer that stores `box` to the element at `position` (of the whole tensor).
std::size_t offset_in(const Box& box, const std::vector<std::int64_t>& position) {
  std::size_t offset = 0;
  for (std::size_t d = 0; d < position.size(); ++d) {
    offset = offset * static_cast<std::size_t>(box.lengths[d]) + static_cast<std::size_t>(position[d] - box.offsets[d]);
  }
  return offset;
}

}  // namespace

Box whole(const std::vector<std::int64_t>& shape) { return {std::vector<std::int64_t>(shape.size(), 0), shape}; }

std::uint64_t num_elements(const Box& box) {
  if (std::ranges::find(box.lengths, 0) != box.lengths.end()) return 0;
  std::uint64_t count = 1;
  for (const std::int64_t length : box.lengths) count *= static_cast<std::uint64_t>(length);
  return count;
}

std::string to_string(const Box& box) {
  std::string text = "[";
  for (std::size_t d = 0; d < box.offsets.size(); ++d)
    text += (d ? ", " : "") + std::to_string(box.offsets[d]) + ":" + std::to_string(end(box, d));
  return text + "]";
}

std::optional<Box> intersect(const Box& a, const Box& b) {
  SLUICE_CHECK(a.offsets.size() == b.offsets.size(), "boxes of different tensors: " + to_string(a) + " and " + to_string(b));
  Box shared = a;
  for (std::size_t d = 0; d < a.offsets.size(); ++d) {
    shared.offsets[d] = std::max(a.offsets[d], b.offsets[d]);
    shared.lengths[d] = std::min(end(a, d), end(b, d)) - shared.offsets[d];
    if (shared.lengths[d] <= 0) return std::nullopt;
  }
  return shared;
}

std::vector<Box> subtract(const Box& box, const Box& hole) {
  const auto shared = intersect(box, hole);
  if (!shared) return {box};
  std::vector<Box> pieces;
  Box rest = box;  // shrinks to `shared`, one dim after the other; what is cut off is a piece
  for (std::size_t d = 0; d < box.offsets.size(); ++d) {
    if (rest.offsets[d] < shared->offsets[d]) {
      Box before = rest;
      before.lengths[d] = shared->offsets[d] - rest.offsets[d];
      pieces.push_back(before);
    }
    if (end(*shared, d) < end(rest, d)) {
      Box after = rest;
      after.offsets[d] = end(*shared, d);
      after.lengths[d] = end(rest, d) - after.offsets[d];
      pieces.push_back(after);
    }
    rest.offsets[d] = shared->offsets[d];
    rest.lengths[d] = shared->lengths[d];
  }
  return pieces;
}

std::vector<Box> boxes_of_range(const std::vector<std::int64_t>& shape, std::int64_t begin, std::int64_t end) {
  std::vector<Box> boxes;
  while (begin < end) {
    // The largest block that starts at `begin`: in the outermost dim that it fills from its start, as many rows as are left.
    Box box{std::vector<std::int64_t>(shape.size()), std::vector<std::int64_t>(shape.size(), 1)};
    std::int64_t count = 1, rest = begin;  // elements of the block; what is left of `begin` in units of them
    bool grows = true;
    for (std::size_t d = shape.size(); d-- > 0; rest /= shape[d]) {
      box.offsets[d] = rest % shape[d];
      if (!grows) continue;
      box.lengths[d] = std::min(shape[d] - box.offsets[d], (end - begin) / count);
      count *= box.lengths[d];
      grows = box.lengths[d] == shape[d];
    }
    boxes.push_back(std::move(box));
    begin += count;
  }
  return boxes;
}

void copy_shared(std::span<const std::byte> source, const Box& source_box, std::span<std::byte> target, const Box& target_box,
                 std::size_t element_bytes) {
  SLUICE_CHECK(source.size() == num_elements(source_box) * element_bytes,
               "source buffer of " + std::to_string(source.size()) + " bytes for " + to_string(source_box));
  SLUICE_CHECK(target.size() == num_elements(target_box) * element_bytes,
               "target buffer of " + std::to_string(target.size()) + " bytes for " + to_string(target_box));
  const auto shared = intersect(source_box, target_box);
  if (!shared) return;
  // The last dims that both boxes hold in full lie together in both buffers: with the dim before them they form one run.
  std::size_t outer = shared->lengths.size();  // dims [0, outer) are stepped through
  auto run = static_cast<std::size_t>(1);      // elements copied at a time
  while (outer > 0) {
    --outer;
    run *= static_cast<std::size_t>(shared->lengths[outer]);
    if (shared->lengths[outer] != source_box.lengths[outer] || shared->lengths[outer] != target_box.lengths[outer]) break;
  }
  std::vector<std::int64_t> position = shared->offsets;
  while (true) {
    std::memcpy(target.data() + offset_in(target_box, position) * element_bytes,
                source.data() + offset_in(source_box, position) * element_bytes, run * element_bytes);
    std::size_t dim = outer;  // count on, the last stepped dim fastest
    while (dim > 0 && ++position[dim - 1] == end(*shared, dim - 1)) {
      --dim;
      position[dim] = shared->offsets[dim];
    }
    if (dim == 0) return;
  }
}

}  // namespace sluice::checkpoint
