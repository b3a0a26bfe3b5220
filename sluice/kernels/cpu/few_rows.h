// Products of a few rows with one weight matrix, as generation has them: the time is that of reading the weights once, so they are read as
// they lie, without being packed.
#pragma once
#include <cstdint>

#include "sluice/kernels/cpu/bf16.h"

namespace sluice::kernels::cpu {

// Up to so many rows this is faster than linear_forward (linear.h).
inline constexpr std::int64_t kFewRows = 8;

// y = x w^T, float32 sums; Out is Bf16 or float. All sizes are allowed. The result's bits depend neither on threads nor on the other rows.
//   x [rows, in]   w [out, in]   y [rows, out]
template <class Out>
void few_rows_forward(std::int64_t rows, std::int64_t in, std::int64_t out, const Bf16* x, const Bf16* w, Out* y);

}  // namespace sluice::kernels::cpu
