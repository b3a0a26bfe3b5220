#include "sluice/train/parameters.h"

#include <algorithm>
#include <map>

#include "sluice/base/wildcard.h"
#include "sluice/checkpoint/adapter.h"
#include "sluice/checkpoint/model_io.h"
#include "sluice/config/fields.h"
#include "sluice/parallel/held.h"
#include "sluice/train/routing_target.h"

namespace sluice::train {
namespace {

bool is_of_adapter(const std::string& name) { return name.ends_with(".lora_a") || name.ends_with(".lora_b"); }

checkpoint::Adapter read_given(const models::LoraConfig& lora, const std::vector<models::TensorSpec>& table) {
  return checkpoint::read_adapter(checkpoint::resolve_model_folder(lora.adapter_folder()), table);
}

std::vector<models::LoraTarget> find_adapters(const ResolvedRecipe& resolved, Violations& violations) {
  const models::LoraConfig& lora = resolved.recipe.lora;
  if (!lora.use_lora) return {};
  const auto table = resolved.model_config->tensor_table();
  return lora.adapter_folder().empty() ? models::lora_targets(table, lora, violations) : read_given(lora, table).targets;
}

// The lora section that an adapter was trained by; base settings such as dropout from `given`.
models::LoraConfig settings_of(const checkpoint::Adapter& adapter, const std::vector<models::TensorSpec>& table, models::LoraConfig given) {
  const bool fused = std::ranges::any_of(adapter.targets, &models::LoraTarget::is_fused), split = std::ranges::any_of(adapter.targets, [](const auto& target) { return target.experts > 0; });
  given.rank = adapter.rank;
  given.alpha = adapter.alpha;
  given.use_rslora = adapter.use_rslora;
  if (fused || split) given.experts = fused ? models::ExpertForm::kFused : models::ExpertForm::kSplit;
  given.target_modules = models::names_of(adapter.targets, table, given.experts);
  return given;
}

// The weights that targets change, with what scale.
std::map<std::string, double> scales(const std::vector<models::LoraTarget>& targets) {
  std::map<std::string, double> out;
  for (const models::LoraTarget& target : targets) out.emplace(target.name, target.scale);
  return out;
}

// Whether two lora sections mean the same in what `key` says.
bool agree(const std::string& key, const models::LoraConfig& one, const models::LoraConfig& other, const std::vector<models::TensorSpec>& table) {
  if (key == "lora.rank") return one.rank == other.rank;
  if (key == "lora.alpha") return one.alpha == other.alpha;
  if (key == "lora.use_rslora") return one.use_rslora == other.use_rslora;
  if (key == "lora.experts") return one.experts == other.experts;
  if (key != "lora.target_modules") return true;
  Violations unknown;  // a name that the model does not have is no name of the adapter's
  models::LoraConfig named = other;
  named.target_modules = one.target_modules;
  return scales(models::lora_targets(table, named, unknown)) == scales(models::lora_targets(table, other, unknown)) && unknown.empty();
}

std::string value_of(const std::string& key, models::LoraConfig lora) {
  std::string out;
  config::for_each_leaf(lora, [&](const std::string& name, auto& field, const char*) { if (name == key) out = config::format(field); }, "lora");
  return out;
}

std::vector<nn::ParameterSpec> target_parameters(const ResolvedRecipe& resolved) {
  return RoutingTarget::parameters(resolved.recipe.routing_supervision, resolved.model_config->moe().num_experts);
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

void adopt_adapter(ResolvedRecipe& resolved, const std::vector<config::Setting>& settings, Violations& violations) {
  models::LoraConfig& lora = resolved.recipe.lora;
  if (!lora.use_lora || lora.adapter.empty() || !resolved.model_config || !fs::exists(lora.adapter)) return;
  const auto table = resolved.model_config->tensor_table();
  models::LoraConfig own;
  try {
    own = settings_of(read_given(lora, table), table, lora);
  } catch (const Error& error) {
    return violations.add(error);
  }
  std::map<std::string, const config::Setting*> last;
  for (const config::Setting& setting : settings) last[setting.key] = &setting;
  for (const auto& [key, setting] : last) {
    if (agree(key, lora, own, table)) continue;
    const std::string what = key + " = " + value_of(key, lora) + ", but lora.adapter = " + lora.adapter + " has " + value_of(key, own);
    if (setting->where == "command line") violations.add(what, "leave it out: the adapter's own holds; or train new adapters, without lora.adapter");
    else resolved.notes.push_back(setting->where + ": " + what + ", which holds");
  }
  lora = own;
}

void adopt_resumed_adapter(ResolvedRecipe& resolved, const fs::path& step_folder) {
  models::LoraConfig& lora = resolved.recipe.lora;
  if (!lora.use_lora || lora.adapter.empty() || !checkpoint::is_adapter_folder(step_folder)) return;
  lora.resumed_adapter = step_folder.string();
  if (fs::exists(lora.adapter)) return;  // whose settings hold, and are there
  const auto table = resolved.model_config->tensor_table();
  const checkpoint::Adapter stored = read_given(lora, table);
  Violations unknown;
  if (scales(models::lora_targets(table, lora, unknown)) != scales(stored.targets)) lora = settings_of(stored, table, lora);
}

std::vector<nn::ParameterSpec> parameters_of(const ResolvedRecipe& resolved) {
  auto specs = models::parameter_specs(resolved.model_config->tensor_table());
  const auto adapters = models::parameter_specs(adapters_of(resolved));
  specs.insert(specs.end(), adapters.begin(), adapters.end());
  const auto target = target_parameters(resolved);
  specs.insert(specs.end(), target.begin(), target.end());
  return specs;
}

std::function<std::vector<nn::ParameterSpec>(const dist::Place& place)> parameters_held(const ResolvedRecipe& resolved, const dist::GridSizes& sizes) {
  std::vector<models::TensorSpec> table = resolved.model_config->tensor_table();
  const auto adapters = models::adapter_table(adapters_of(resolved), table);
  table.insert(table.end(), adapters.begin(), adapters.end());
  return [&resolved, sizes, table = std::move(table)](const dist::Place& place) {
    auto specs = parallel::held_parameters(table, parallel::stages_of(*resolved.model_config, resolved.recipe.parallelism), sizes, place);
    const auto target = target_parameters(resolved);
    specs.insert(specs.end(), target.begin(), target.end());
    return specs;
  };
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
    const std::string count = config::format(static_cast<std::int64_t>(specs.size()));
    if (resolved.recipe.lora.use_lora) {
      violations.add("moe.freeze_router = true freezes the adapters of routers, and lora.target_modules = " + config::format(resolved.recipe.lora.target_modules) + " has no others: nothing is left to train",
                     "set moe.freeze_router=false, or adapt other weights too");
    } else {
      violations.add("train.freeze = " + config::format(resolved.recipe.train.freeze) + (resolved.recipe.moe.freeze_router ? " and moe.freeze_router = true freeze" : " freezes") + " all " + count +
                         " parameters: nothing is left to train",
                     "freeze fewer, for example train.freeze=[embedding.*]");
    }
  }
}

}  // namespace sluice::train
