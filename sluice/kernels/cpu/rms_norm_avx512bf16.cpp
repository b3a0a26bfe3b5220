#include "sluice/kernels/cpu/rms_norm.h"

#include <cmath>

#include "sluice/kernels/cpu/scratch.h"
#include "sluice/kernels/cpu/simd.h"

namespace sluice::kernels::cpu {
namespace {

constexpr std::int64_t kMostBlocks = 64;  // of rows, each with its own partial dw: fixed, so that threads do not change the sum

// Adds the row's part to dw and returns the mean of dy * w * x * rstd.
template <class Gradient, class Weight>
float accumulate_row(std::int64_t hidden, const Gradient* dy, const float* x, __m512 rstd, const Weight* w, float* dw) {
  __m512 sum = _mm512_setzero_ps();
  for (std::int64_t j = 0; j < hidden; j += 16) {
    const __mmask16 mask = lanes(hidden - j);
    const __m512 normed = _mm512_mul_ps(load(x + j, mask), rstd), gradient = load(dy + j, mask);
    if (dw != nullptr) store(dw + j, _mm512_fmadd_ps(gradient, normed, load(dw + j, mask)), mask);
    sum = _mm512_fmadd_ps(_mm512_mul_ps(gradient, load(w + j, mask)), normed, sum);
  }
  return _mm512_reduce_add_ps(sum) / static_cast<float>(hidden);
}

}  // namespace

template <class Weight>
void rms_norm_forward(std::int64_t rows, std::int64_t hidden, float eps, const float* x, const Weight* w, Bf16* y, float* rstd,
                      Workspace&) {
#pragma omp parallel for schedule(static)
  for (std::int64_t r = 0; r < rows; ++r) {
    const float* in = x + r * hidden;
    Bf16* out = y + r * hidden;
    __m512 squares = _mm512_setzero_ps();
    for (std::int64_t j = 0; j < hidden; j += 16) {
      const __m512 v = load(in + j, lanes(hidden - j));
      squares = _mm512_fmadd_ps(v, v, squares);
    }
    const float scale = 1.0f / std::sqrt(_mm512_reduce_add_ps(squares) / static_cast<float>(hidden) + eps);
    if (rstd != nullptr) rstd[r] = scale;
    for (std::int64_t j = 0; j < hidden; j += 16) {
      const __mmask16 mask = lanes(hidden - j);
      store(out + j, _mm512_mul_ps(_mm512_mul_ps(load(in + j, mask), _mm512_set1_ps(scale)), load(w + j, mask)), mask);
    }
  }
}
template void rms_norm_forward(std::int64_t, std::int64_t, float, const float*, const Bf16*, Bf16*, float*, Workspace&);
template void rms_norm_forward(std::int64_t, std::int64_t, float, const float*, const float*, Bf16*, float*, Workspace&);

// With n = x * rstd and g = dy * w: dx = rstd * (g - n * mean(g * n)), dw = sum of dy * n over rows.
template <class Gradient, class Weight>
void rms_norm_backward(std::int64_t rows, std::int64_t hidden, const Gradient* dy, const float* x, const float* rstd, const Weight* w,
                       WriteMode mode, float* dx, float* dw, Workspace& workspace) {
  workspace.begin();
  const std::int64_t blocks = lesser(kMostBlocks, divide_up(rows, 16)), block_rows = blocks > 0 ? divide_up(rows, blocks) : 0;
  float* partial = dw != nullptr ? take_scratch<float>(workspace, blocks * hidden) : nullptr;
#pragma omp parallel
  {
#pragma omp for schedule(dynamic)
    for (std::int64_t b = 0; b < blocks; ++b) {
      float* mine = partial != nullptr ? partial + b * hidden : nullptr;
      for (std::int64_t j = 0; mine != nullptr && j < hidden; j += 16) store(mine + j, _mm512_setzero_ps(), lanes(hidden - j));
      for (std::int64_t r = b * block_rows; r < lesser(rows, (b + 1) * block_rows); ++r) {
        const Gradient* dy_row = dy + r * hidden;
        const float* x_row = x + r * hidden;
        float* dx_row = dx + r * hidden;
        const __m512 scale = _mm512_set1_ps(rstd[r]);
        const __m512 mean = _mm512_set1_ps(accumulate_row(hidden, dy_row, x_row, scale, w, mine));
        for (std::int64_t j = 0; j < hidden; j += 16) {
          const __mmask16 mask = lanes(hidden - j);
          const __m512 normed = _mm512_mul_ps(load(x_row + j, mask), scale);
          const __m512 g = _mm512_mul_ps(load(dy_row + j, mask), load(w + j, mask));
          __m512 result = _mm512_mul_ps(scale, _mm512_fnmadd_ps(normed, mean, g));
          if (mode == WriteMode::kAdd) result = _mm512_add_ps(load(dx_row + j, mask), result);
          store(dx_row + j, result, mask);
        }
      }
    }
    if (partial != nullptr) {
#pragma omp for schedule(static)
      for (std::int64_t j = 0; j < hidden; j += 16) {
        const __mmask16 mask = lanes(hidden - j);
        __m512 sum = _mm512_setzero_ps();
        for (std::int64_t b = 0; b < blocks; ++b) sum = _mm512_add_ps(sum, load(partial + b * hidden + j, mask));
        store(dw + j, _mm512_add_ps(load(dw + j, mask), sum), mask);
      }
    }
  }
}

template void rms_norm_backward(std::int64_t, std::int64_t, const Bf16*, const float*, const float*, const Bf16*, WriteMode, float*, float*,
                                Workspace&);
template void rms_norm_backward(std::int64_t, std::int64_t, const Bf16*, const float*, const float*, const float*, WriteMode, float*,
                                float*, Workspace&);
template void rms_norm_backward(std::int64_t, std::int64_t, const float*, const float*, const float*, const Bf16*, WriteMode, float*,
                                float*, Workspace&);
template void rms_norm_backward(std::int64_t, std::int64_t, const float*, const float*, const float*, const float*, WriteMode, float*,
                                float*, Workspace&);

}  // namespace sluice::kernels::cpu
