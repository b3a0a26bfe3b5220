// The sum of squares of a flat float32 buffer, for the gradient norm. For any x86-64: AVX-512 where the CPU has it, with the same bits.
#pragma once
#include <cstdint>

namespace sluice::kernels::cpu {

// A sum over blocks of a fixed size, in order: the bits do not depend on the number of threads.
constexpr std::int64_t kSumBlock = 65536;

// `before` plus the squares, summed in double block by block. A buffer taken in pieces, each but the last a multiple of kSumBlock and with the sum so
// far as `before`, gives the bits of the whole.
double sum_of_squares(const float* values, std::int64_t size, double before = 0);

}  // namespace sluice::kernels::cpu
