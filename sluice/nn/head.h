// The projection of hidden states onto the vocabulary.
#pragma once
#include <ATen/core/Tensor.h>

#include "sluice/nn/parameter.h"

namespace sluice::nn {

struct Head {
  const Parameter& weight;  // [vocab, hidden]; the embedding itself where these are tied
  double softcap = 0;       // a logit l becomes softcap * tanh(l / softcap) (Gemma 2); 0 = as it is
};

//   hidden   [tokens, hidden], in the head's precision
//   returns  [tokens, vocab], float32
at::Tensor head_logits(const at::Tensor& hidden, const Head& head);

}  // namespace sluice::nn
