#include "sluice/train/parameters.h"

#include <algorithm>

#include "sluice/config/fields.h"
#include "sluice/data/categories.h"
#include "sluice/train/routing_target.h"

namespace sluice::train {
namespace {

// Shell-style. Where a run of characters that a * took turns out too short, it takes one more: the last * alone needs that.
bool matches(std::string_view pattern, std::string_view name) {
  std::size_t p = 0, n = 0, star = std::string_view::npos, taken = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      taken = n;
    } else if (p < pattern.size() && pattern[p] == name[n]) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++taken;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

}  // namespace

std::vector<nn::ParameterSpec> parameters_of(const ResolvedRecipe& resolved) {
  auto specs = models::parameter_specs(resolved.model_config->tensor_table());
  const auto target = RoutingTarget::parameters(resolved.recipe.routing_supervision, data::kNumCategories, resolved.model_config->moe().num_experts);
  specs.insert(specs.end(), target.begin(), target.end());
  return specs;
}

std::function<bool(const std::string& name)> frozen_by(const Recipe& recipe) {
  std::vector<std::string> patterns = recipe.train.freeze;
  if (recipe.moe.freeze_router) patterns.push_back("*.router.*");
  return [patterns](const std::string& name) {
    return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) { return matches(pattern, name); });
  };
}

void check_freeze(const ResolvedRecipe& resolved, Violations& violations) {
  const std::vector<nn::ParameterSpec> specs = parameters_of(resolved);
  for (const std::string& pattern : resolved.recipe.train.freeze) {
    if (std::any_of(specs.begin(), specs.end(), [&](const auto& spec) { return matches(pattern, spec.name); })) continue;
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
