#include "sluice/parallel/held.h"

#include <algorithm>

#include "sluice/models/shard.h"

namespace sluice::parallel {

Stages stages_of(const models::ModelConfig& model, const ParallelismConfig& config) {
  const auto table = model.tensor_table();
  std::vector<std::int64_t> mixtures;
  for (std::int64_t layer = 0; layer < model.num_layers(); ++layer) {
    const std::string experts = "layers." + std::to_string(layer) + ".experts.down.weight";
    if (std::ranges::any_of(table, [&](const models::TensorSpec& spec) { return spec.parameter.name == experts; })) mixtures.push_back(layer);
  }
  return {config, model.num_layers(), std::move(mixtures), model.moe().num_experts};
}

std::vector<nn::ParameterSpec> held_parameters(const std::vector<models::TensorSpec>& table, const Stages& stages, const dist::GridSizes& sizes, const dist::Place& place) {
  const auto has = [&](const std::string& start) { return std::ranges::any_of(table, [&](const models::TensorSpec& spec) { return spec.parameter.name.starts_with(start); }); };
  const bool last_needs_embedding = !has("head.") || has("mtp.");
  std::vector<nn::ParameterSpec> specs;
  for (const models::TensorSpec& spec : table) {
    const bool here = stages.holds(place.pipeline, spec.parameter.name, last_needs_embedding);
    specs.push_back(here ? models::part_of(spec, sizes, place) : models::elsewhere(spec.parameter));
  }
  return specs;
}

}  // namespace sluice::parallel
