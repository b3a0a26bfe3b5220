#include "sluice/kernels/cpu/rope.h"

#include "sluice/kernels/cpu/simd.h"

namespace sluice::kernels::cpu {

void rope_inplace(const RopeShape& shape, const float* cosine, const float* sine, const std::int64_t* position, RopeDirection direction,
                  Bf16* x, Workspace&) {
  const std::int64_t half = shape.rotary_dim / 2, stride = shape.row_stride != 0 ? shape.row_stride : shape.heads * shape.head_dim;
  const __m512 sign = _mm512_set1_ps(direction == RopeDirection::kForward ? 1.0f : -1.0f);
#pragma omp parallel for schedule(static)
  for (std::int64_t r = 0; r < shape.rows; ++r) {
    for (std::int64_t j = 0; j < half; j += 16) {
      const __mmask16 mask = lanes(half - j);
      const __m512 c = load(cosine + position[r] * half + j, mask), s = _mm512_mul_ps(sign, load(sine + position[r] * half + j, mask));
      for (std::int64_t h = 0; h < shape.heads; ++h) {
        Bf16* head = x + r * stride + h * shape.head_dim + j;
        const __m512 a = load(head, mask), b = load(head + half, mask);
        store(head, _mm512_fnmadd_ps(b, s, _mm512_mul_ps(a, c)), mask);
        store(head + half, _mm512_fmadd_ps(a, s, _mm512_mul_ps(b, c)), mask);
      }
    }
  }
}

}  // namespace sluice::kernels::cpu
