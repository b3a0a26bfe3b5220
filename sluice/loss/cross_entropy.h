// The language-model loss, without ever holding all logits.
#pragma once
#include <ATen/core/Tensor.h>

#include "sluice/nn/head.h"

namespace sluice::loss {

constexpr std::int64_t kIgnored = -100;

// Labels shifted by one within each row: position t is trained on the id at t + 1; the last position of a row on nothing.
//   labels   [rows, seq], int64, at their own positions
//   returns  [rows * seq]
at::Tensor shift_labels(const at::Tensor& labels);

// scale * sum over counted tokens of -log softmax(hidden head^T)[label], in float32 with a float64 sum.
//   hidden   [tokens, hidden], in the head's precision
//   head     under gradient mode its weight's gradient is added to weight.grad already here, in the same pass as the loss
//   labels   [tokens], kIgnored = not counted; rows that are not counted cost nothing
//   returns  float64 scalar; its own gradient must be 1 (it is a term of the total loss as it stands)
at::Tensor cross_entropy(const at::Tensor& hidden, const nn::Head& head, const at::Tensor& labels, double scale);

}  // namespace sluice::loss
