// The parts of a model folder's parameters that one process of several holds.
#pragma once
#include "sluice/checkpoint/weight_reader.h"

namespace sluice::checkpoint {

// Fills `out`, of a part's shape, with what `part` says of the parameter, from those of the folder's tensors that hold any of it.
void read_part(FolderKind kind, WeightReader& weights, const models::TensorSpec& spec, const nn::Part& part, const at::Tensor& out);

// Fills every parameter of `table` in a store for inference: those that it holds whole as map_or_read does, of others their part. Tensors of the folder
// that hold nothing of a part are not read, and beside the parts there is one of the folder's tensors in memory at a time.
void map_or_read_parts(const ModelFolder& folder, WeightReader& weights, const std::vector<models::TensorSpec>& table, nn::ParameterStore& store);

}  // namespace sluice::checkpoint
