// Matrix products with a learnable weight.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>

#include "sluice/nn/parameter.h"

namespace sluice::nn {

// y = x w^T + b, with the parameters `name`.weight and, where the model's tensor table has it, `name`.bias.
class Linear {
 public:
  Linear(ParameterStore& store, const std::string& name) : weight_(store.at(name + ".weight")), bias_(store.find(name + ".bias")) {}
  //   x        [tokens, in], in the weight's precision
  //   returns  [tokens, out], same precision
  at::Tensor forward(const at::Tensor& x) const;
  const Parameter& weight() const { return weight_; }

 private:
  const Parameter& weight_;
  const Parameter* bias_;  // [out], float32; null = none
};

// y = x w^T, without bias, with what the weight's adapters add.
//   x        [tokens, in], in the weight's precision
//   weight   [out, in]
//   returns  [tokens, out], same precision; products are summed in float32
// The weight's gradient is added to weight.grad in float32, whatever the precision of the product.
at::Tensor linear(const at::Tensor& x, const Parameter& weight);

// Row `ids[t]` of the table for each token, as float32: the start of the residual stream. Zeros for rows that another process holds.
//   ids      [tokens], int64
//   table    [vocab, hidden]
at::Tensor embedding(const at::Tensor& ids, const Parameter& table);

}  // namespace sluice::nn
