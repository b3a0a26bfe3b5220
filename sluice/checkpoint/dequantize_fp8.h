// DeepSeek's FP8 weights to BF16. A weight [rows, columns] of float8_e4m3fn comes with NAME_scale_inv, float32, one number a block:
// [ceil(rows / block rows), ceil(columns / block columns)]; each element is multiplied by its block's number (arXiv:2412.19437, 3.3.2).
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "sluice/base/json.h"
#include "sluice/checkpoint/dtype.h"

namespace sluice::checkpoint {

struct Fp8Blocks {
  std::int64_t rows = 128, columns = 128;
};

// From quantization_config of a config.json: quant_method "fp8" and weight_block_size [rows, columns]. Error when it is another
// method or names no block size. Weights and activations of other kinds in it do not matter here.
Fp8Blocks fp8_blocks(const Json& quantization_config, const std::string& where);

// The shape of the scales of a weight; for checking a file.
std::vector<std::int64_t> fp8_scale_shape(const std::vector<std::int64_t>& weight_shape, Fp8Blocks blocks);

// Rows [first_row, first_row + n) of a weight with `columns` columns:
//   weight   n * columns bytes, the rows alone
//   scales   float32 of the WHOLE weight, row-major [ceil(rows / block rows), ceil(columns / block columns)]
//   out      n * columns BF16; rounded once, to nearest even, from the float32 product
// Buffers of other sizes are Bugs. No alignment is asked for.
void dequantize_fp8_rows(std::span<const std::byte> weight, std::span<const std::byte> scales, std::int64_t first_row, std::int64_t columns,
                         Fp8Blocks blocks, std::span<std::byte> out);

}  // namespace sluice::checkpoint
