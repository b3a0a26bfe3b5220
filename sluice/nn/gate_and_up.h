// What stands between an expert's two products, on its rows.
#pragma once
#include <ATen/core/Tensor.h>

#include "sluice/nn/experts.h"

namespace sluice::nn {

// The halves of an expert's first product `both` [rows, 2 * ffn] as float32 [rows, ffn], and what becomes of them.
struct GateAndUp {
  at::Tensor gate, up;
  ExpertActivation activation;

  GateAndUp(const at::Tensor& both, ExpertActivation activation);

  // [rows, ffn], float32; differentiable where `both` is.
  at::Tensor inner() const;

  // The gradient of `both`, ordered as it is, from that of inner().
  at::Tensor gradient(const at::Tensor& d_inner) const;
};

}  // namespace sluice::nn
