// One stretch of adamw_step and of sum_of_squares, by plain C++ or by AVX-512, with the same bits: no fused operations, and in the sums the
// same 16 partial sums.
#pragma once
#include <cstdint>

#include "sluice/kernels/cpu/bf16.h"

namespace sluice::kernels::cpu {

// AdamwSettings as the float32 factors of the formula, each rounded once from double.
struct AdamwFactors {
  float grad_scale, keep;            // keep: 1 - lr * weight_decay
  float m_rate, beta2, v_rate;       // 1 - beta1, beta2, 1 - beta2
  float root_correction, eps, step;  // sqrt(bias_correction2), eps, lr / bias_correction1
};

using AdamwBlock = void(const AdamwFactors& f, std::int64_t size, float* master, float* m, float* v, const float* grad, Bf16* compute);
AdamwBlock adamw_block_plain;
AdamwBlock adamw_block_avx512;

using SumBlock = double(const float* values, std::int64_t size);
SumBlock sum_block_plain;
SumBlock sum_block_avx512;

}  // namespace sluice::kernels::cpu
