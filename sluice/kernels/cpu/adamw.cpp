#include "sluice/kernels/cpu/adamw.h"

#include <algorithm>
#include <cmath>

#include "sluice/kernels/cpu/cpu_features.h"
#include "sluice/kernels/cpu/flat_blocks.h"

namespace sluice::kernels::cpu {
namespace {

constexpr std::int64_t kBlock = 4096;

}  // namespace

void adamw_block_plain(const AdamwFactors& f, std::int64_t size, float* __restrict__ master, float* __restrict__ m, float* __restrict__ v,
                       const float* __restrict__ grad, Bf16* __restrict__ compute) {
  for (std::int64_t i = 0; i < size; ++i) {
    const float g = grad[i] * f.grad_scale;
    const float first = m[i] + f.m_rate * (g - m[i]);
    const float second = v[i] * f.beta2 + f.v_rate * g * g;
    const float denominator = std::sqrt(second) / f.root_correction + f.eps;
    m[i] = first;
    v[i] = second;
    master[i] = master[i] * f.keep - f.step * first / denominator;
  }
  if (compute == nullptr) return;
  for (std::int64_t i = 0; i < size; ++i) compute[i] = to_bf16(master[i]);
}

void adamw_step(const AdamwSettings& settings, std::int64_t size, float* master, float* m, float* v, const float* grad, Bf16* compute) {
  const auto narrow = [](double x) { return static_cast<float>(x); };
  const AdamwFactors f{narrow(settings.grad_scale), narrow(1 - settings.lr * settings.weight_decay),
                       narrow(1 - settings.beta1),  narrow(settings.beta2),
                       narrow(1 - settings.beta2),  narrow(std::sqrt(settings.bias_correction2)),
                       narrow(settings.eps),        narrow(settings.lr / settings.bias_correction1)};
  AdamwBlock* const block = has_avx512() ? adamw_block_avx512 : adamw_block_plain;
#pragma omp parallel for schedule(static)
  for (std::int64_t begin = 0; begin < size; begin += kBlock) {
    block(f, std::min(kBlock, size - begin), master + begin, m + begin, v + begin, grad + begin,
          compute != nullptr ? compute + begin : nullptr);
  }
}

}  // namespace sluice::kernels::cpu
