// The projection of hidden states onto the vocabulary.
#pragma once
#include <ATen/core/Tensor.h>

#include "sluice/nn/forward.h"
#include "sluice/nn/parameter.h"

namespace sluice::nn {

struct Head {
  const Parameter& weight;  // [vocab, hidden], or this rank's rows of it; the embedding itself where these are tied
  double softcap = 0;       // a logit l becomes softcap * tanh(l / softcap) (Gemma 2); 0 = as it is
  const TensorRegion* region = nullptr;  // of the ranks that hold its rows; null = this process alone
  const PipelineRanks* pipeline = nullptr;  // of which one has the head; null = this one does
  std::int64_t blocks = 0;                  // before the head

  at::Tensor entered(const at::Tensor& hidden) const { return region ? region->enter(hidden) : hidden; }
  std::int64_t first_row() const { return weight.spec.is_whole() || weight.spec.is_elsewhere() ? 0 : weight.spec.part.pieces[0].from[0]; }
};

//   hidden   [tokens, hidden], in the head's precision, before the tensor region
//   returns  [tokens, vocab], float32
at::Tensor head_logits(const at::Tensor& hidden, const Head& head);

}  // namespace sluice::nn
