#include "sluice/nn/raw.h"

#include <atomic>

#include "sluice/base/error.h"
#include "sluice/kernels/cpu/cpu_features.h"
#include "sluice/kernels/cpu/few_rows.h"
#include "sluice/kernels/cpu/linear.h"

namespace sluice::nn {
namespace {

std::atomic<int> g_without_kernels{0};  // autograd's own threads must see it, so it cannot be passed

}  // namespace

bool use_cpu_kernels(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kBFloat16 && tensor.is_cpu() && g_without_kernels == 0 && kernels::cpu::has_avx512_bf16();
}

WithoutCpuKernels::WithoutCpuKernels() { ++g_without_kernels; }
WithoutCpuKernels::~WithoutCpuKernels() { --g_without_kernels; }

bool few_rows(const at::Tensor& x) { return !at::GradMode::is_enabled() && x.size(0) <= kernels::cpu::kFewRows && use_cpu_kernels(x); }

at::Tensor few_rows_product(const at::Tensor& x, const at::Tensor& w, at::ScalarType out) {
  const at::Tensor y = at::empty({x.size(0), w.size(0)}, x.options().dtype(out));
  if (out == at::kFloat) kernels::cpu::few_rows_forward(x.size(0), x.size(1), w.size(0), raw_bf16(x), raw_bf16(w), raw_float(y));
  else kernels::cpu::few_rows_forward(x.size(0), x.size(1), w.size(0), raw_bf16(x), raw_bf16(w), raw_bf16(y));
  return y;
}

kernels::cpu::Bf16* raw_bf16(const at::Tensor& tensor) {
  SLUICE_CHECK(tensor.is_contiguous(), "kernels take contiguous tensors");
  return reinterpret_cast<kernels::cpu::Bf16*>(tensor.data_ptr<at::BFloat16>());
}

float* raw_float(const at::Tensor& tensor) {
  if (!tensor.defined()) return nullptr;
  SLUICE_CHECK(tensor.is_contiguous(), "kernels take contiguous tensors");
  return tensor.data_ptr<float>();
}

kernels::cpu::Workspace& workspace() {
  static thread_local kernels::cpu::Workspace scratch;
  return scratch;
}

void add_weight_gradient(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& grad) {
  at::Tensor target = grad;
  if (use_cpu_kernels(dy)) {
    kernels::cpu::linear_weight_gradient({dy.size(0), x.size(1), dy.size(1)}, raw_bf16(dy), raw_bf16(x), raw_float(grad), workspace());
  } else if (dy.scalar_type() == at::kFloat) {
    target.addmm_(dy.t(), x);
  } else {
    target.add_(at::mm(dy.t(), x));
  }
}

void remember(torch::autograd::AutogradContext* context, const Parameter& parameter) {
  context->saved_data["parameter"] = static_cast<std::int64_t>(reinterpret_cast<std::intptr_t>(&parameter));
}

const Parameter& recall(torch::autograd::AutogradContext* context) {
  return *reinterpret_cast<const Parameter*>(static_cast<std::intptr_t>(context->saved_data["parameter"].toInt()));
}

}  // namespace sluice::nn
