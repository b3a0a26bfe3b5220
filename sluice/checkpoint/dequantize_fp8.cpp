#include "sluice/checkpoint/dequantize_fp8.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "sluice/base/error.h"
#include "sluice/checkpoint/bf16_bits.h"

namespace sluice::checkpoint {
namespace {

// Sign, 4 bits of exponent with bias 7, 3 of fraction; no infinities, and all bits set is not a number (arXiv:2209.05433).
float value_of(unsigned bits) {
  const unsigned exponent = bits >> 3 & 0xF, fraction = bits & 0x7;
  const float sign = bits & 0x80 ? -1.0f : 1.0f;
  if (exponent == 0xF && fraction == 0x7) return sign * std::numeric_limits<float>::quiet_NaN();
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(fraction), -9);
  return sign * std::ldexp(static_cast<float>(8 + fraction), static_cast<int>(exponent) - 10);
}

std::array<float, 256> all_values() {
  std::array<float, 256> values{};
  for (unsigned bits = 0; bits < values.size(); ++bits) values[bits] = value_of(bits);
  return values;
}

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

}  // namespace

Fp8Blocks fp8_blocks(const Json& quantization_config, const std::string& where) {
  const char* const remedy = "give a model in BF16, or one quantised as DeepSeek-V3 is: quant_method \"fp8\" with weight_block_size";
  const auto fail = [&](const std::string& what) { return Error(where + ": quantization_config" + what, remedy); };
  if (!quantization_config.is_object()) throw fail(" is no object");
  const auto method = quantization_config.find("quant_method");
  if (method == quantization_config.end() || *method != "fp8")
    throw fail(".quant_method is " + (method == quantization_config.end() ? std::string("missing") : dump_json(*method)) + ", not \"fp8\"");
  const auto size = quantization_config.find("weight_block_size");
  const auto is_count = [](const Json& n) { return n.is_number_integer() && n > 0 && n <= std::numeric_limits<std::int32_t>::max(); };
  if (size == quantization_config.end() || !size->is_array() || size->size() != 2 || !is_count((*size)[0]) || !is_count((*size)[1])) {
    throw fail(".weight_block_size is " + (size == quantization_config.end() ? std::string("missing") : dump_json(*size)) +
               ", not two sizes such as [128, 128]");
  }
  return {(*size)[0].get<std::int64_t>(), (*size)[1].get<std::int64_t>()};
}

std::vector<std::int64_t> fp8_scale_shape(const std::vector<std::int64_t>& weight_shape, Fp8Blocks blocks) {
  SLUICE_CHECK(weight_shape.size() == 2, "an FP8 weight of shape " + shape_text(weight_shape));
  return {ceil_div(weight_shape[0], blocks.rows), ceil_div(weight_shape[1], blocks.columns)};
}

void dequantize_fp8_rows(std::span<const std::byte> weight, std::span<const std::byte> scales, std::int64_t first_row, std::int64_t columns,
                         Fp8Blocks blocks, std::span<std::byte> out) {
  static const std::array<float, 256> kValues = all_values();
  SLUICE_CHECK(
      columns > 0 && weight.size() % static_cast<std::size_t>(columns) == 0 && out.size() == 2 * weight.size(),
      std::to_string(weight.size()) + " bytes of FP8 rows of " + std::to_string(columns) + " columns into " + std::to_string(out.size()));
  const std::int64_t rows = static_cast<std::int64_t>(weight.size()) / columns, scale_columns = ceil_div(columns, blocks.columns);
  SLUICE_CHECK(static_cast<std::int64_t>(scales.size() / sizeof(float)) >= ceil_div(first_row + rows, blocks.rows) * scale_columns,
               std::to_string(scales.size()) + " bytes of scales for row " + std::to_string(first_row + rows));
  const std::byte* from = weight.data();
  std::byte* to = out.data();
  for (std::int64_t row = first_row; row < first_row + rows; ++row) {
    const std::byte* scale_row = scales.data() + static_cast<std::size_t>(row / blocks.rows * scale_columns) * sizeof(float);
    for (std::int64_t begin = 0; begin < columns; begin += blocks.columns) {
      float scale = 0;
      std::memcpy(&scale, scale_row + static_cast<std::size_t>(begin / blocks.columns) * sizeof scale, sizeof scale);
      for (std::int64_t i = std::min(blocks.columns, columns - begin); i > 0; --i, ++from, to += 2) {
        const std::uint16_t value = to_bf16(kValues[std::to_integer<unsigned>(*from)] * scale);
        std::memcpy(to, &value, sizeof value);
      }
    }
  }
}

}  // namespace sluice::checkpoint
