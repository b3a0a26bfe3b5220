#include "sluice/train/parameters.h"

#include <algorithm>

#include "sluice/base/wildcard.h"
#include "sluice/checkpoint/adapter.h"
#include "sluice/config/fields.h"
#include "sluice/train/routing_target.h"

namespace sluice::train {
namespace {

bool is_of_adapter(const std::string& name) { return name.ends_with(".lora_a") || name.ends_with(".lora_b"); }

std::vector<models::LoraTarget> find_adapters(const ResolvedRecipe& resolved, Violations& violations) {
  const models::LoraConfig& lora = resolved.recipe.lora;
  if (!lora.use_lora) return {};
  const auto table = resolved.model_config->tensor_table();
  return lora.adapter.empty() ? models::lora_targets(table, lora, violations) : checkpoint::read_adapter(lora.adapter, table).targets;
}

}  // namespace

std::vector<models::LoraTarget> adapters_of(const ResolvedRecipe& resolved) {
  Violations violations;
  auto out = find_adapters(resolved, violations);
  violations.raise("the adapters");
  return out;
}

bool check_adapters(const ResolvedRecipe& resolved, Violations& violations) {
  Violations own;
  try {
    find_adapters(resolved, own);
  } catch (const Error& error) {
    own.add(error);
  }
  violations.add_all(own);
  return own.empty();
}

std::vector<nn::ParameterSpec> parameters_of(const ResolvedRecipe& resolved) {
  auto specs = models::parameter_specs(resolved.model_config->tensor_table());
  const auto adapters = models::parameter_specs(adapters_of(resolved));
  specs.insert(specs.end(), adapters.begin(), adapters.end());
  const auto target = RoutingTarget::parameters(resolved.recipe.routing_supervision, resolved.model_config->moe().num_experts);
  specs.insert(specs.end(), target.begin(), target.end());
  return specs;
}

std::function<bool(const std::string& name)> frozen_by(const Recipe& recipe) {
  std::vector<std::string> patterns = recipe.train.freeze;
  if (recipe.moe.freeze_router) patterns.push_back("*.router.*");
  return [patterns, lora = recipe.lora.use_lora](const std::string& name) {
    if (lora && !is_of_adapter(name) && !name.starts_with("routing_supervision.")) return true;
    return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) { return matches_wildcard(pattern, name); });
  };
}

void check_freeze(const ResolvedRecipe& resolved, Violations& violations) {
  const std::vector<nn::ParameterSpec> specs = parameters_of(resolved);
  for (const std::string& pattern : resolved.recipe.train.freeze) {
    if (std::any_of(specs.begin(), specs.end(), [&](const auto& spec) { return matches_wildcard(pattern, spec.name); })) continue;
    violations.add("train.freeze has '" + pattern + "', which no parameter matches", "use names such as " + specs[1].name + ", with * as a wildcard");
  }
  const auto frozen = frozen_by(resolved.recipe);
  if (std::all_of(specs.begin(), specs.end(), [&](const auto& spec) { return frozen(spec.name) || spec.update == nn::Update::kRule; })) {
    violations.add("train.freeze = " + config::format(resolved.recipe.train.freeze) + " freezes all " + config::format(static_cast<std::int64_t>(specs.size())) +
                       " parameters: nothing is left to train",
                   "freeze fewer, for example train.freeze=[embedding.*]");
  }
}

}  // namespace sluice::train
