#include "sluice/nn/head.h"

#include "sluice/nn/linear.h"

namespace sluice::nn {

namespace {

at::Tensor logits_here(const at::Tensor& hidden, const Head& head) {
  at::Tensor logits = linear(head.entered(hidden), head.weight).to(at::kFloat);
  if (head.softcap > 0) logits = at::tanh(logits / head.softcap) * head.softcap;
  if (head.weight.spec.is_whole()) return logits;
  const at::Tensor all = at::zeros({logits.size(0), head.weight.spec.part.whole[0]}, logits.options());
  all.narrow(1, head.first_row(), logits.size(1)).copy_(logits.detach());
  head.region->sum(all);
  return all;
}

}  // namespace

at::Tensor head_logits(const at::Tensor& hidden, const Head& head) {
  if (!head.pipeline) return logits_here(hidden, head);
  return head.pipeline->from_holder(head.blocks, head.pipeline->holds(head.blocks) ? logits_here(hidden, head) : at::Tensor());
}

}  // namespace sluice::nn
