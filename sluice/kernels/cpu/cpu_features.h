// What this CPU (and its operating system) can execute, asked by CPUID at run time.
#pragma once

namespace sluice::kernels::cpu {

// AVX-512 F, BW, DQ, VL and BF16, with their registers saved by the operating system: what every bf16 kernel here needs.
bool has_avx512_bf16();

// AVX-512 F alone: what the fast path of adamw_step and sum_of_squares needs (they have a plain path too).
bool has_avx512();

}  // namespace sluice::kernels::cpu
