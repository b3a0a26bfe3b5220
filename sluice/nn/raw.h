// The border between tensors and raw-pointer kernels.
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cstdint>

#include "sluice/kernels/cpu/bf16.h"
#include "sluice/kernels/cpu/workspace.h"
#include "sluice/nn/parameter.h"

namespace sluice::nn {

// Whether `tensor` is worked on by our own kernels: bf16 on a CPU that has AVX512_BF16. Everything else takes the ATen path, which is
// also the kernels' oracle.
bool use_cpu_kernels(const at::Tensor& tensor);

// Makes use_cpu_kernels false while it lives: for tests and for measuring what the kernels bring.
class WithoutCpuKernels {
 public:
  WithoutCpuKernels();
  ~WithoutCpuKernels();
  WithoutCpuKernels(const WithoutCpuKernels&) = delete;
  WithoutCpuKernels& operator=(const WithoutCpuKernels&) = delete;
};

// Whether a product with these rows takes the kernel for a few of them: a step of generation, never of training, whose numbers then do not
// depend on how few tokens a batch has.
bool few_rows(const at::Tensor& x);

// y = x w^T by that kernel, for weights that no gradient is wanted of.   x [rows, in], w [out, in], both bf16; returns [rows, out]
at::Tensor few_rows_product(const at::Tensor& x, const at::Tensor& w, at::ScalarType out);

kernels::cpu::Bf16* raw_bf16(const at::Tensor& tensor);  // contiguous bf16
float* raw_float(const at::Tensor& tensor);              // contiguous float32; null for an undefined tensor
kernels::cpu::Workspace& workspace();                    // of this thread

// grad += dy^T x, in float32.   dy [tokens, out], x [tokens, in], grad [out, in] float32
void add_weight_gradient(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& grad);

// A parameter carried from an autograd function's forward to its backward, which adds to `grad` itself.
void remember(torch::autograd::AutogradContext* context, const Parameter& parameter);
const Parameter& recall(torch::autograd::AutogradContext* context);

}  // namespace sluice::nn
