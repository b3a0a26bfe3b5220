// A model's parameters, floating-point operations and bytes, counted from its tensor table.
#pragma once
#include <cstdint>
#include <vector>

#include "sluice/models/model.h"
#include "sluice/models/tensor_table.h"

namespace sluice::models {

// Widths summed over the layers that have softmax attention.
struct AttentionWidths {
  std::int64_t query = 0;   // heads * head_dim, of the product with the keys
  std::int64_t value = 0;   // heads * value_dim, of the product with the values
  std::int64_t cached = 0;  // elements that generation keeps of a token
};

// Of each mixture's experts, top_k / num_experts are active. `seq` tokens of context, causal: each query meets half of them on average.
Cost cost_of(const std::vector<TensorSpec>& table, const MoeShape& moe, const AttentionWidths& attention, std::int64_t seq);

}  // namespace sluice::models
