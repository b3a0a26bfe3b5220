// Products with the low-rank changes of a weight (LoRA, Hu et al., arXiv:2106.09685).
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

#include "sluice/nn/parameter.h"

namespace sluice::nn {

// What the adapters of `weight` add to x w^T; undefined where it has none. Products are float32 whatever x is.
//   x        [tokens, in]
//   returns  [tokens, out], float32
at::Tensor low_rank_product(const at::Tensor& x, const Parameter& weight);

// The same for expert `expert` of a weight [experts, out, in].
//   x        [rows, in], the rows that chose the expert
//   tokens   [rows], as dropout_tokens() gives them
//   returns  [rows, out], float32
at::Tensor low_rank_product(const at::Tensor& x, const Parameter& weight, std::int64_t expert, const at::Tensor& tokens);

// Which tokens `count` rows of an input of `weight` are, as Dropout::tokens has them: [count], int64; undefined where its adapters leave nothing out.
at::Tensor dropout_tokens(const Parameter& weight, std::int64_t count);

// What the adapters of `weight` add to its value, float32 in its shape; undefined where it has none.
at::Tensor merged_change(const Parameter& weight);

// `weight`.value with its adapters added, in the value's precision: what merging gives, and what code that takes weights apart computes with.
at::Tensor merged_value(const Parameter& weight);

}  // namespace sluice::nn
