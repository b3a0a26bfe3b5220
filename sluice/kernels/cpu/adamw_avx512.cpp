#include <immintrin.h>

#include "sluice/kernels/cpu/flat_blocks.h"

namespace sluice::kernels::cpu {
namespace {

// As to_bf16, by integers: AVX-512 F alone has no conversion.
__m512i round_to_bf16_bits(__m512 x) {
  const __m512i bits = _mm512_castps_si512(x);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff))), 16);
  const __m512i quiet = _mm512_or_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(0x40));
  return _mm512_mask_mov_epi32(rounded, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), quiet);
}

}  // namespace

void adamw_block_avx512(const AdamwFactors& f, std::int64_t size, float* master, float* m, float* v, const float* grad, Bf16* compute) {
  const __m512 grad_scale = _mm512_set1_ps(f.grad_scale), keep = _mm512_set1_ps(f.keep), m_rate = _mm512_set1_ps(f.m_rate);
  const __m512 beta2 = _mm512_set1_ps(f.beta2), v_rate = _mm512_set1_ps(f.v_rate), root_correction = _mm512_set1_ps(f.root_correction);
  const __m512 eps = _mm512_set1_ps(f.eps), step = _mm512_set1_ps(f.step);
  for (std::int64_t i = 0; i < size; i += 16) {
    const __mmask16 mask = size - i >= 16 ? __mmask16{0xffff} : static_cast<__mmask16>((1u << (size - i)) - 1u);
    const __m512 g = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, grad + i), grad_scale);
    const __m512 m_before = _mm512_maskz_loadu_ps(mask, m + i);
    const __m512 first = _mm512_add_ps(m_before, _mm512_mul_ps(m_rate, _mm512_sub_ps(g, m_before)));
    const __m512 second =
        _mm512_add_ps(_mm512_mul_ps(_mm512_maskz_loadu_ps(mask, v + i), beta2), _mm512_mul_ps(_mm512_mul_ps(v_rate, g), g));
    const __m512 denominator = _mm512_add_ps(_mm512_div_ps(_mm512_sqrt_ps(second), root_correction), eps);
    const __m512 kept = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, master + i), keep);
    const __m512 after = _mm512_sub_ps(kept, _mm512_div_ps(_mm512_mul_ps(step, first), denominator));
    if (mask == 0xffff) {
      _mm512_storeu_ps(m + i, first);
      _mm512_storeu_ps(v + i, second);
      _mm512_storeu_ps(master + i, after);
    } else {
      _mm512_mask_storeu_ps(m + i, mask, first);
      _mm512_mask_storeu_ps(v + i, mask, second);
      _mm512_mask_storeu_ps(master + i, mask, after);
    }
    if (compute == nullptr) continue;
    const __m512i bits = round_to_bf16_bits(after);
    if (mask == 0xffff) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(compute + i), _mm512_cvtepi32_epi16(bits));
    } else {
      _mm512_mask_cvtepi32_storeu_epi16(compute + i, mask, bits);
    }
  }
}

}  // namespace sluice::kernels::cpu
