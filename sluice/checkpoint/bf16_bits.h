// BF16 numbers as their bits, for code that converts files and knows no tensors.
#pragma once
#include <bit>
#include <cstdint>

namespace sluice::checkpoint {

// Rounded to nearest, ties to even, as PyTorch does; what is not a number becomes 0x7FC0.
inline std::uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7FFFFFFF) > 0x7F800000) return 0x7FC0;
  return static_cast<std::uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

}  // namespace sluice::checkpoint
