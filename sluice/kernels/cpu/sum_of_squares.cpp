#include "sluice/kernels/cpu/sum_of_squares.h"

#include <algorithm>
#include <vector>

#include "sluice/kernels/cpu/cpu_features.h"
#include "sluice/kernels/cpu/flat_blocks.h"

namespace sluice::kernels::cpu {
double sum_block_plain(const float* values, std::int64_t size) {
  double sums[16] = {};
  for (std::int64_t i = 0; i < size / 16 * 16; i += 16) {
    for (int j = 0; j < 16; ++j) sums[j] += static_cast<double>(values[i + j]) * static_cast<double>(values[i + j]);
  }
  for (std::int64_t i = size / 16 * 16; i < size; ++i) sums[i % 16] += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  double sum = 0;
  for (const double x : sums) sum += x;
  return sum;
}

double sum_of_squares(const float* values, std::int64_t size, double before) {
  SumBlock* const block = has_avx512() ? sum_block_avx512 : sum_block_plain;
  std::vector<double> sums(static_cast<std::size_t>((size + kSumBlock - 1) / kSumBlock));
#pragma omp parallel for schedule(static)
  for (std::size_t b = 0; b < sums.size(); ++b) {
    const std::int64_t begin = static_cast<std::int64_t>(b) * kSumBlock;
    sums[b] = block(values + begin, std::min(kSumBlock, size - begin));
  }
  for (const double x : sums) before += x;
  return before;
}

}  // namespace sluice::kernels::cpu
