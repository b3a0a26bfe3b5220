#include <immintrin.h>

#include "sluice/kernels/cpu/flat_blocks.h"

namespace sluice::kernels::cpu {

double sum_block_avx512(const float* values, std::int64_t size) {
  __m512d low = _mm512_setzero_pd(), high = _mm512_setzero_pd();
  for (std::int64_t i = 0; i < size; i += 16) {
    const __mmask16 mask = size - i >= 16 ? __mmask16{0xffff} : static_cast<__mmask16>((1u << (size - i)) - 1u);
    const __m512 x = _mm512_maskz_loadu_ps(mask, values + i);
    const __m512d a = _mm512_cvtps_pd(_mm512_castps512_ps256(x));
    const __m512d b = _mm512_cvtps_pd(_mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(x), 1)));
    low = _mm512_add_pd(low, _mm512_mul_pd(a, a));
    high = _mm512_add_pd(high, _mm512_mul_pd(b, b));
  }
  double sums[16];
  _mm512_storeu_pd(sums, low);
  _mm512_storeu_pd(sums + 8, high);
  double sum = 0;
  for (const double x : sums) sum += x;
  return sum;
}

}  // namespace sluice::kernels::cpu
