// bfloat16 as its bits: the upper half of a float32.
#pragma once
#include <bit>
#include <cstdint>

namespace sluice::kernels::cpu {

using Bf16 = std::uint16_t;

inline float to_float(Bf16 value) { return std::bit_cast<float>(static_cast<std::uint32_t>(value) << 16); }

// Rounds to nearest, ties to even; a NaN stays a NaN.
inline Bf16 to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (value != value) return static_cast<Bf16>((bits >> 16) | 0x40u);
  return static_cast<Bf16>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

}  // namespace sluice::kernels::cpu
