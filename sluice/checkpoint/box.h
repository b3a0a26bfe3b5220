// N-dimensional index ranges: which part of a tensor a shard holds, and copying what two such parts share.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace sluice::checkpoint {

// The elements [offsets[d], offsets[d] + lengths[d]) of every dim d; no dims: the one element of a scalar. Both lists have one size,
// no number is negative, and the lengths' product fits into 63 bits.
struct Box {
  std::vector<std::int64_t> offsets, lengths;

  bool operator==(const Box&) const = default;
};

Box whole(const std::vector<std::int64_t>& shape);
std::uint64_t num_elements(const Box& box);
std::string to_string(const Box& box);  // "[0:4, 8:16]", as in a Python slice

// What two boxes of one tensor share; nothing when they share no element.
std::optional<Box> intersect(const Box& a, const Box& b);

// `box` without `hole`, as boxes that do not overlap.
std::vector<Box> subtract(const Box& box, const Box& hole);

// The elements [begin, end) of a tensor, counted row-major, as boxes in that order.
std::vector<Box> boxes_of_range(const std::vector<std::int64_t>& shape, std::int64_t begin, std::int64_t end);

// Copies the elements that both boxes hold from a buffer that stores `source_box` to one that stores `target_box`, both row-major.
// The buffers' sizes are exactly those of their boxes (else a Bug).
void copy_shared(std::span<const std::byte> source, const Box& source_box, std::span<std::byte> target, const Box& target_box,
                 std::size_t element_bytes);

}  // namespace sluice::checkpoint
