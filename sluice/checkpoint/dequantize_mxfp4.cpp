#include "sluice/checkpoint/dequantize_mxfp4.h"

#include <array>
#include <cmath>
#include <cstring>
#include <string>

#include "sluice/base/error.h"
#include "sluice/checkpoint/bf16_bits.h"

namespace sluice::checkpoint {
namespace {

// Sign, 2 bits of exponent with bias 1, 1 of fraction.
constexpr std::array<float, 16> kNibbles = {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                                            -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};

// The BF16 of each nibble under one scale. Exact but for the largest scales, whose products are infinite.
std::array<std::uint16_t, 16> scaled(std::byte scale) {
  const int exponent = std::to_integer<int>(scale) - 127;
  std::array<std::uint16_t, 16> values{};
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = to_bf16(std::ldexp(kNibbles[i], exponent));
  return values;
}

// Element c of group g of row r goes to number r * row_step + (g * 32 + c) * column_step of `out`.
struct Steps {
  std::size_t row, column;
};

void dequantize(std::span<const std::byte> blocks, std::span<const std::byte> scales, std::size_t rows, Steps steps,
                std::span<std::byte> out) {
  constexpr std::size_t kElements = kMxfp4GroupElements, kBytes = kMxfp4GroupBytes;
  SLUICE_CHECK(
      rows > 0 && scales.size() % rows == 0 && blocks.size() == scales.size() * kBytes && out.size() == scales.size() * kElements * 2,
      std::to_string(blocks.size()) + " bytes of MXFP4 with " + std::to_string(scales.size()) + " scales in " + std::to_string(rows) +
          " rows into " + std::to_string(out.size()));
  const std::size_t groups = scales.size() / rows;
  const auto put = [&](std::size_t element, std::uint16_t value) { std::memcpy(out.data() + element * 2, &value, sizeof value); };
  // Row by row within a group of columns: both what is read and, transposed, what is written then lies close together.
  for (std::size_t group = 0; group < groups; ++group) {
    for (std::size_t row = 0; row < rows; ++row) {
      const auto values = scaled(scales[row * groups + group]);
      const std::byte* packed = blocks.data() + (row * groups + group) * kBytes;
      std::size_t element = row * steps.row + group * kElements * steps.column;
      for (std::size_t i = 0; i < kBytes; ++i, element += 2 * steps.column) {
        put(element, values[std::to_integer<std::size_t>(packed[i] & std::byte{0xF})]);
        put(element + steps.column, values[std::to_integer<std::size_t>(packed[i] >> 4)]);
      }
    }
  }
}

}  // namespace

void dequantize_mxfp4(std::span<const std::byte> blocks, std::span<const std::byte> scales, std::span<std::byte> out) {
  if (scales.empty() && blocks.empty() && out.empty()) return;
  // Every group a row of its own: then the order is that of the file.
  dequantize(blocks, scales, scales.size(), {static_cast<std::size_t>(kMxfp4GroupElements), 1}, out);
}

void dequantize_mxfp4_transposed(std::span<const std::byte> blocks, std::span<const std::byte> scales, std::int64_t rows,
                                 std::span<std::byte> out) {
  dequantize(blocks, scales, static_cast<std::size_t>(rows), {1, static_cast<std::size_t>(rows)}, out);
}

}  // namespace sluice::checkpoint
