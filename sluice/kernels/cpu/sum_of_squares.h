// The sum of squares of a flat float32 buffer, for the gradient norm. For any x86-64: AVX-512 where the CPU has it, with the same bits.
#pragma once
#include <cstdint>

namespace sluice::kernels::cpu {

// Summed in double over a fixed partition, in order: the bits do not depend on the number of threads.
double sum_of_squares(const float* values, std::int64_t size);

}  // namespace sluice::kernels::cpu
