#include "sluice/models/tensor_table.h"

namespace sluice::models {

bool holds_experts(Shard shard) {
  return shard == Shard::kExperts || shard == Shard::kExpertRows || shard == Shard::kExpertGateUp || shard == Shard::kExpertColumns || shard == Shard::kExpertsOnce;
}

TensorSpec whole(nn::ParameterSpec parameter, Shard shard, std::string hf_name, HfLayout layout) {
  auto shape = parameter.shape;
  if (layout == HfLayout::kTransposed) std::swap(shape[shape.size() - 1], shape[shape.size() - 2]);
  return {std::move(parameter), shard, {{std::move(hf_name), std::move(shape), 0, layout}}};
}

nn::ParameterSpec matrix(std::string name, std::vector<std::int64_t> shape) { return {std::move(name), std::move(shape)}; }

nn::ParameterSpec norm(std::string name, std::int64_t width, nn::Init init) { return {std::move(name), {width}, init, nn::Keep::kFloat32, nn::Decay::kNo}; }

nn::ParameterSpec bias(std::string name, std::vector<std::int64_t> shape) {
  return {std::move(name), std::move(shape), nn::Init::kZeros, nn::Keep::kFloat32, nn::Decay::kNo};
}

nn::ParameterSpec router(std::string name, std::int64_t experts, std::int64_t hidden) {
  return {std::move(name), {experts, hidden}, nn::Init::kNormal, nn::Keep::kFloat32};
}

void add_experts(std::vector<TensorSpec>& table, const std::string& ours, const std::string& hf, const ExpertSizes& sizes, const ExpertNames& names) {
  const auto [experts, ffn, hidden] = sizes;
  TensorSpec gate_up{matrix(ours + ".gate_up.weight", {experts, 2 * ffn, hidden}), Shard::kExpertGateUp, {}};
  TensorSpec down{matrix(ours + ".down.weight", {experts, hidden, ffn}), Shard::kExpertColumns, {}};
  for (std::int64_t e = 0; e < experts; ++e) {
    const std::string expert = hf + "." + std::to_string(e) + ".";
    gate_up.hf.push_back({expert + names.gate + ".weight", {ffn, hidden}, (2 * e) * ffn * hidden});
    gate_up.hf.push_back({expert + names.up + ".weight", {ffn, hidden}, (2 * e + 1) * ffn * hidden});
    down.hf.push_back({expert + names.down + ".weight", {hidden, ffn}, e * hidden * ffn});
  }
  table.push_back(std::move(gate_up));
  table.push_back(std::move(down));
}

void add_linear(std::vector<TensorSpec>& table, const std::string& ours, const std::string& hf, std::int64_t out, std::int64_t in, Shard shard, Bias with_bias) {
  table.push_back(whole(matrix(ours + ".weight", {out, in}), shard, hf + ".weight"));
  // A column-split product is summed over the ranks with its bias: one of them adds it.
  if (with_bias == Bias::kAdded) table.push_back(whole(bias(ours + ".bias", {out}), shard == Shard::kColumns ? Shard::kOnce : shard, hf + ".bias"));
}

void add_kv_linear(std::vector<TensorSpec>& table, const std::string& ours, const std::string& hf, const KvSizes& sizes, Bias with_bias) {
  const std::size_t first = table.size();
  add_linear(table, ours, hf, sizes.heads * sizes.head_dim, sizes.in, Shard::kKvRows, with_bias);
  for (std::size_t i = first; i < table.size(); ++i) table[i].kv_heads = sizes.heads;
}

void add_gated_mlp(std::vector<TensorSpec>& table, const std::string& ours, const std::string& hf, std::int64_t ffn, std::int64_t hidden) {
  add_linear(table, ours + ".gate_proj", hf + ".gate_proj", ffn, hidden, Shard::kRows);
  add_linear(table, ours + ".up_proj", hf + ".up_proj", ffn, hidden, Shard::kRows);
  add_linear(table, ours + ".down_proj", hf + ".down_proj", hidden, ffn, Shard::kColumns);
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
