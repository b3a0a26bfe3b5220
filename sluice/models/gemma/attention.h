// Gemma's attention: grouped queries, rotary positions; what Gemma 2 adds to it is in its options.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "sluice/models/gemma/decoder.h"
#include "sluice/nn/forward.h"
#include "sluice/nn/linear.h"
#include "sluice/nn/rope.h"

namespace sluice::models {

class GemmaAttention {
 public:
  // `sizes` and `rope` outlive it.
  GemmaAttention(const GemmaSizes& sizes, nn::ParameterStore& store, std::size_t layer, const nn::RopeTable& rope, const std::string& at);

  //   normed   [tokens, hidden], in the weights' precision
  //   returns  the same
  at::Tensor forward(const at::Tensor& normed, const nn::ForwardContext& context) const;

  at::ScalarType precision() const { return q_.weight().value.scalar_type(); }

 private:
  const GemmaSizes& sizes_;
  std::int64_t layer_;
  const nn::RopeTable& rope_;
  nn::Linear q_, k_, v_, o_;
};

}  // namespace sluice::models
