#include "sluice/nn/norm.h"

#include "sluice/kernels/cpu/rms_norm.h"
#include "sluice/nn/raw.h"
#include "sluice/nn/recompute.h"

namespace sluice::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The bf16 kernel: one pass each way, the weight's gradient added in place.
struct RmsNormFunction : torch::autograd::Function<RmsNormFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& value, const Parameter* weight, double eps) {
    at::Tensor y = at::empty(x.sizes(), x.options().dtype(at::kBFloat16)), rstd = at::empty({x.size(0)}, x.options());
    kernels::cpu::rms_norm_forward(x.size(0), x.size(1), static_cast<float>(eps), raw_float(x), raw_float(value), raw_bf16(y), raw_float(rstd),
                                   workspace());
    context->save_for_backward({x, rstd});
    remember(context, *weight);
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const Parameter& weight = recall(context);
    const at::Tensor dy = gradients[0].contiguous(), dx = at::empty_like(saved[0]);
    kernels::cpu::rms_norm_backward(dx.size(0), dx.size(1), raw_bf16(dy), raw_float(saved[0]), raw_float(saved[1]), raw_float(weight.value),
                                    kernels::cpu::WriteMode::kReplace, raw_float(dx), raw_float(weight.grad), workspace());
    return {dx, at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

at::Tensor normed(const at::Tensor& x, double eps) {
  const at::Tensor wide = for_module(x.to(at::kFloat));
  return wide * at::rsqrt(wide.square().mean(-1, /*keepdim=*/true) + eps);
}

at::Tensor scaled_by_rms(const at::Tensor& x, const Parameter& weight, double eps, at::ScalarType out) {
  if (out == at::kBFloat16 && use_cpu_kernels(at::empty({0}, x.options().dtype(out)))) {
    const at::Tensor rows = x.to(at::kFloat).reshape({-1, x.size(-1)}).contiguous();
    return RmsNormFunction::apply(rows, weight.value, &weight, eps).view(x.sizes());
  }
  return (normed(x, eps) * weight.value).to(out);
}

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const Parameter& weight, double eps, at::ScalarType out) {
  return forgotten(Module::kLayerNorm, x, [&weight, eps, out](const at::Tensor& rows) { return scaled_by_rms(rows, weight, eps, out); });
}

at::Tensor zero_centred_rms_norm(const at::Tensor& x, const Parameter& weight, double eps, at::ScalarType out) {
  return forgotten(Module::kLayerNorm, x, [&weight, eps, out](const at::Tensor& rows) { return (normed(rows, eps) * (1 + weight.value)).to(out); });
}

at::Tensor layer_norm(const at::Tensor& x, const Parameter& weight, const Parameter& bias, double eps, at::ScalarType out) {
  return forgotten(Module::kLayerNorm, x, [&weight, &bias, eps, out](const at::Tensor& rows) {
    return at::layer_norm(rows.to(at::kFloat), {rows.size(-1)}, weight.value, bias.value, eps).to(out);
  });
}

}  // namespace sluice::nn
