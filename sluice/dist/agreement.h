// Whether ranks that should hold the same numbers do.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "sluice/dist/group.h"

namespace sluice::dist {

// Of the bytes of a contiguous tensor: the CRC-32C of the first half and that of the second. Reads it once.
std::uint64_t checksum(const at::Tensor& tensor);

// The ranks of the group whose number is not that of most, rising; the same on every rank. Where as many ranks have one number as another, the
// one that the lowest rank has is taken for right. Sends 8 bytes to each rank.
std::vector<std::int64_t> ranks_that_differ(const Group& group, std::uint64_t number);

}  // namespace sluice::dist
