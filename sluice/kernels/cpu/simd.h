// Vectors of 16 floats for the AVX-512 kernels: masked ends, bf16 loads and stores, short exponentials. Include only from *_avx512bf16.cpp.
#pragma once
#include <immintrin.h>

#include <cstdint>

#include "sluice/kernels/cpu/bf16.h"

namespace sluice::kernels::cpu {

inline std::int64_t lesser(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
inline std::int64_t greater(std::int64_t a, std::int64_t b) { return a < b ? b : a; }
inline std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
inline std::int64_t round_up(std::int64_t a, std::int64_t b) { return divide_up(a, b) * b; }

// The first `count` lanes; none below 0, all from 16 (32) on.
inline __mmask16 lanes(std::int64_t count) {
  return count >= 16 ? __mmask16{0xffff} : count <= 0 ? __mmask16{0} : static_cast<__mmask16>((1u << count) - 1u);
}
inline __mmask32 lanes32(std::int64_t count) {
  return count >= 32 ? __mmask32{0xffffffff} : count <= 0 ? __mmask32{0} : static_cast<__mmask32>((1u << count) - 1u);
}

inline __m512 widen(__m256i bits) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16)); }
inline __m256i narrow(__m512 x) { return (__m256i)_mm512_cvtneps_pbh(x); }
inline __m512i narrow(__m512 low, __m512 high) { return (__m512i)_mm512_cvtne2ps_pbh(high, low); }

inline __m512 load(const float* p) { return _mm512_loadu_ps(p); }
inline __m512 load(const Bf16* p) { return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))); }
inline void store(float* p, __m512 x) { _mm512_storeu_ps(p, x); }
inline void store(Bf16* p, __m512 x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), narrow(x)); }

// The chosen lanes, zero elsewhere; memory outside them is not touched. Whole vectors take the plain instruction: masked stores are slow.
inline __m512 load(const float* p, __mmask16 mask) { return mask == 0xffff ? load(p) : _mm512_maskz_loadu_ps(mask, p); }
inline __m512 load(const Bf16* p, __mmask16 mask) { return mask == 0xffff ? load(p) : widen(_mm256_maskz_loadu_epi16(mask, p)); }
inline void store(float* p, __m512 x, __mmask16 mask) {
  if (mask == 0xffff) return store(p, x);
  _mm512_mask_storeu_ps(p, mask, x);
}
inline void store(Bf16* p, __m512 x, __mmask16 mask) {
  if (mask == 0xffff) return store(p, x);
  _mm256_mask_storeu_epi16(p, mask, narrow(x));
}

// `columns` (at most 64) consecutive values from four vectors.
inline void store_columns(float* p, const __m512* x, std::int64_t columns) {
  if (columns >= 64) {
    for (int j = 0; j < 4; ++j) store(p + 16 * j, x[j]);
  } else {
    for (int j = 0; 16 * j < columns; ++j) store(p + 16 * j, x[j], lanes(columns - 16 * j));
  }
}
inline void store_columns(Bf16* p, const __m512* x, std::int64_t columns) {
  if (columns >= 64) {
    _mm512_storeu_si512(p, narrow(x[0], x[1]));
    _mm512_storeu_si512(p + 32, narrow(x[2], x[3]));
  } else {
    for (int j = 0; 16 * j < columns; ++j) store(p + 16 * j, x[j], lanes(columns - 16 * j));
  }
}
// As store_columns for the 32 columns of two vectors.
inline void store_half(Bf16* p, __m512 low, __m512 high, std::int64_t columns) {
  if (columns >= 32) return _mm512_storeu_si512(p, narrow(low, high));
  _mm512_mask_storeu_epi16(p, lanes32(columns), narrow(low, high));
}
inline void add_columns(float* p, const __m512* x, std::int64_t columns) {
  for (int j = 0; 16 * j < columns; ++j) {
    const __mmask16 mask = lanes(columns - 16 * j);
    store(p + 16 * j, _mm512_add_ps(x[j], load(p + 16 * j, mask)), mask);
  }
}

// 2^x by rounding to an integer and the Taylor series of 2^r on [-1/2, 1/2]: relative error 2e-6 with five terms, 4e-5 with four (enough
// for a bf16 result). 0 far below; -infinity is not allowed (use kHidden).
template <int kTerms>
inline __m512 exp2_short(__m512 x) {
  static_assert(kTerms == 4 || kTerms == 5);
  const __m512 whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m512 r = _mm512_sub_ps(x, whole);
  __m512 sum = _mm512_set1_ps(9.6181291e-3f);
  if constexpr (kTerms == 5) sum = _mm512_fmadd_ps(_mm512_set1_ps(1.3333558e-3f), r, sum);
  sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(5.5504109e-2f));
  sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(2.4022651e-1f));
  sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(6.9314718e-1f));
  sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(1.0f));
  return _mm512_scalef_ps(sum, whole);
}

constexpr float kLog2e = 1.44269504f;
constexpr float kHidden = -1e30f;  // a score that no softmax sees

inline __m512 exp_short(__m512 x) { return exp2_short<5>(_mm512_mul_ps(x, _mm512_set1_ps(kLog2e))); }

// 1 / (1 + e^-x) to 1e-4 relative: for results that become bf16.
inline __m512 sigmoid_short(__m512 x) {
  const __m512 e = exp2_short<4>(_mm512_mul_ps(x, _mm512_set1_ps(-kLog2e)));
  return _mm512_rcp14_ps(_mm512_add_ps(_mm512_set1_ps(1.0f), e));
}

}  // namespace sluice::kernels::cpu
