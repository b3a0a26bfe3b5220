// The tensor table: one row a parameter, from which loading, saving, sharding and planning are derived.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "sluice/nn/parameter.h"

namespace sluice::models {

// Which dimension tensor and expert parallelism split. kGateUp: dimension 1, gate rows and up rows each on their own.
enum class Shard { kReplicated, kRows, kColumns, kExperts, kExpertGateUp, kExpertColumns };

// One tensor of a HF checkpoint, and the contiguous elements of our parameter that it fills.
struct HfPart {
  std::string name;                 // "model.layers.0.block_sparse_moe.experts.3.w1.weight"
  std::vector<std::int64_t> shape;  // as HF stores it
  std::int64_t offset = 0;          // of its first element in ours
};

struct TensorSpec {
  nn::ParameterSpec parameter;
  Shard shard = Shard::kReplicated;
  std::vector<HfPart> hf;  // in the order of their offsets; together they cover the parameter exactly
};

// A parameter that is one HF tensor.
TensorSpec whole(nn::ParameterSpec parameter, Shard shard, std::string hf_name);

std::vector<nn::ParameterSpec> parameter_specs(const std::vector<TensorSpec>& table);

// HF's order: embeddings, layers by number, norm, head; experts by number. What an export writes.
std::vector<HfPart> hf_tensors(const std::vector<TensorSpec>& table);

}  // namespace sluice::models
