// RMSNorm (Zhang and Sennrich, arXiv:1910.07467) between the float32 residual stream and bf16 products.
#pragma once
#include <cstdint>

#include "sluice/kernels/cpu/bf16.h"
#include "sluice/kernels/cpu/workspace.h"

namespace sluice::kernels::cpu {

enum class WriteMode { kReplace, kAdd };

// y = x * rstd * w with rstd = 1 / sqrt(mean(x^2) + eps), rounded once at the end. Weight is Bf16 or float.
//   x [rows, hidden]   w [hidden]   y [rows, hidden]   rstd [rows]; null: not wanted
template <class Weight>
void rms_norm_forward(std::int64_t rows, std::int64_t hidden, float eps, const float* x, const Weight* w, Bf16* y, float* rstd,
                      Workspace& workspace);

// dx is replaced or added to, as `mode` says; dw += (null: frozen). The bits do not depend on the number of threads.
// Gradient and Weight are Bf16 or float.
//   dy, x, dx [rows, hidden]   rstd [rows]   w, dw [hidden]
template <class Gradient, class Weight>
void rms_norm_backward(std::int64_t rows, std::int64_t hidden, const Gradient* dy, const float* x, const float* rstd, const Weight* w,
                       WriteMode mode, float* dx, float* dw, Workspace& workspace);

}  // namespace sluice::kernels::cpu
