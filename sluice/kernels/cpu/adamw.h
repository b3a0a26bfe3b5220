// AdamW (Loshchilov and Hutter, arXiv:1711.05101) on flat float32 buffers, in torch.optim.AdamW's order of operations. For any x86-64:
// AVX-512 where the CPU has it, with the same bits.
#pragma once
#include <cstdint>

#include "sluice/kernels/cpu/bf16.h"

namespace sluice::kernels::cpu {

struct AdamwSettings {
  double lr = 0, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  double bias_correction1 = 1, bias_correction2 = 1;  // 1 - beta^step
  double grad_scale = 1;                              // multiplies the gradient first: the clipping factor
};

// One step of `size` parameters: master, m and v are updated, `compute` (null: none) gets the rounded copy of master.
void adamw_step(const AdamwSettings& settings, std::int64_t size, float* master, float* m, float* v, const float* grad, Bf16* compute);

}  // namespace sluice::kernels::cpu
