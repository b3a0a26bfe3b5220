// gpt-oss's MXFP4 experts to BF16 (OCP Microscaling Formats 1.0): NAME_blocks uint8 [experts, out, groups, 16] and NAME_scales uint8
// [experts, out, groups]. A group is 32 elements of one row with one power of two; a byte holds two of them, the low nibble first.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace sluice::checkpoint {

inline constexpr std::int64_t kMxfp4GroupBytes = 16, kMxfp4GroupElements = 32;

// Groups in the order they are stored: scales.size() groups, blocks 16 bytes each, out 32 BF16 each. Element = the nibble's value in
// {0, 0.5, 1, 1.5, 2, 3, 4, 6} with its sign, times 2^(scale - 127). Buffers of other sizes are Bugs.
void dequantize_mxfp4(std::span<const std::byte> blocks, std::span<const std::byte> scales, std::span<std::byte> out);

// The same for one expert, transposed to how transformers keeps these weights: its [out, in] becomes [in, out], row-major.
// `rows` = out; groups a row = scales.size() / rows. Needs no memory besides.
void dequantize_mxfp4_transposed(std::span<const std::byte> blocks, std::span<const std::byte> scales, std::int64_t rows,
                                 std::span<std::byte> out);

}  // namespace sluice::checkpoint
