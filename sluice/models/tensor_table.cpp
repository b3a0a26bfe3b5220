#include "sluice/models/tensor_table.h"

namespace sluice::models {

TensorSpec whole(nn::ParameterSpec parameter, Shard shard, std::string hf_name) {
  const auto shape = parameter.shape;
  return {std::move(parameter), shard, {{std::move(hf_name), shape, 0}}};
}

std::vector<nn::ParameterSpec> parameter_specs(const std::vector<TensorSpec>& table) {
  std::vector<nn::ParameterSpec> specs;
  for (const TensorSpec& spec : table) specs.push_back(spec.parameter);
  return specs;
}

std::vector<HfPart> hf_tensors(const std::vector<TensorSpec>& table) {
  std::vector<HfPart> parts;
  for (const TensorSpec& spec : table) parts.insert(parts.end(), spec.hf.begin(), spec.hf.end());
  return parts;
}

}  // namespace sluice::models
