// Products with one weight matrix, bf16 with float32 accumulation. All sizes are allowed, zero rows too. The result's bits depend neither
// on the number of threads nor on the other rows.
#pragma once
#include <cstdint>

#include "sluice/kernels/cpu/bf16.h"
#include "sluice/kernels/cpu/workspace.h"

namespace sluice::kernels::cpu {

// The weight is [out, in], as HF stores it.
struct LinearShape {
  std::int64_t rows = 0, in = 0, out = 0;
  std::int64_t in_stride = 0;   // elements from a row of x, or dx, to the next; 0: `in`
  std::int64_t out_stride = 0;  // elements from a row of y, dy or residual to the next; 0: `out`
};

// y = x w^T. Out is Bf16 or float.
//   x [rows, in]   w [out, in]   y [rows, out]
template <class Out>
void linear_forward(const LinearShape& shape, const Bf16* x, const Bf16* w, Out* y, Workspace& workspace);

// y = residual + x w^T in float32; y may be residual.
void linear_forward_residual(const LinearShape& shape, const Bf16* x, const Bf16* w, const float* residual, float* y, Workspace& workspace);

// dx = dy w. Out is Bf16 or float.
//   dy [rows, out]   w [out, in]   dx [rows, in]
template <class Out>
void linear_input_gradient(const LinearShape& shape, const Bf16* dy, const Bf16* w, Out* dx, Workspace& workspace);

// dw += dy^T x.
//   dy [rows, out]   x [rows, in]   dw [out, in] float32
void linear_weight_gradient(const LinearShape& shape, const Bf16* dy, const Bf16* x, float* dw, Workspace& workspace);

}  // namespace sluice::kernels::cpu
