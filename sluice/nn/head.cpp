#include "sluice/nn/head.h"

#include "sluice/nn/linear.h"

namespace sluice::nn {

at::Tensor head_logits(const at::Tensor& hidden, const Head& head) {
  const at::Tensor logits = linear(hidden, head.weight).to(at::kFloat);
  return head.softcap > 0 ? at::tanh(logits / head.softcap) * head.softcap : logits;
}

}  // namespace sluice::nn
