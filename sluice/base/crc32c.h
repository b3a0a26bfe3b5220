// CRC-32C (Castagnoli, RFC 3720): the checksum of tensors in checkpoints and of TensorBoard records.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace sluice {

// The checksum of `bytes` following those that gave `previous`; 0 to begin.
std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t previous = 0);

}  // namespace sluice
