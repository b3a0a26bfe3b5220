#include "sluice/kernels/cpu/few_rows.h"
#include "sluice/kernels/cpu/simd.h"

namespace sluice::kernels::cpu {
namespace {

constexpr int kColumns = 4;  // outputs at once: four streams of weights keep the memory busy
constexpr std::int64_t kPairs = 32;
constexpr std::int64_t kAhead = 8192;  // elements: what is fetched beforehand, further than the processor looks by itself

__m512bh pairs(const Bf16* p, __mmask32 mask) {
  return (__m512bh)(mask == 0xffffffff ? _mm512_loadu_si512(p) : _mm512_maskz_loadu_epi16(mask, p));
}

void put(Bf16* p, float value) { store(p, _mm512_set1_ps(value), __mmask16{1}); }
void put(float* p, float value) { *p = value; }

// y[column .. column + columns) of one row.
template <class Out>
void row_product(std::int64_t in, const Bf16* x, const Bf16* w, std::int64_t columns, Out* y) {
  __m512 sum[kColumns];
  for (auto& s : sum) s = _mm512_setzero_ps();
  for (std::int64_t k = 0; k < in; k += kPairs) {
    const __mmask32 mask = lanes32(in - k);
    const __m512bh of_x = pairs(x + k, mask);
    if (columns == kColumns) {
      for (int c = 0; c < kColumns; ++c) _mm_prefetch(reinterpret_cast<const char*>(w + c * in + k + kAhead), _MM_HINT_T0);
      for (int c = 0; c < kColumns; ++c) sum[c] = _mm512_dpbf16_ps(sum[c], of_x, pairs(w + c * in + k, mask));
    } else {
      for (int c = 0; c < columns; ++c) sum[c] = _mm512_dpbf16_ps(sum[c], of_x, pairs(w + c * in + k, mask));
    }
  }
  for (int c = 0; c < columns; ++c) put(y + c, _mm512_reduce_add_ps(sum[c]));
}

}  // namespace

template <class Out>
void few_rows_forward(std::int64_t rows, std::int64_t in, std::int64_t out, const Bf16* x, const Bf16* w, Out* y) {
  const std::int64_t groups = divide_up(out, kColumns);
#pragma omp parallel for schedule(static)
  for (std::int64_t g = 0; g < groups; ++g) {
    const std::int64_t column = g * kColumns, columns = lesser(out - column, kColumns);
    for (std::int64_t r = 0; r < rows; ++r) row_product(in, x + r * in, w + column * in, columns, y + r * out + column);
  }
}
template void few_rows_forward(std::int64_t, std::int64_t, std::int64_t, const Bf16*, const Bf16*, Bf16*);
template void few_rows_forward(std::int64_t, std::int64_t, std::int64_t, const Bf16*, const Bf16*, float*);

}  // namespace sluice::kernels::cpu
