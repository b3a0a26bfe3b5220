#include "sluice/train/recipe.h"

#include <algorithm>
#include <sstream>

#include "sluice/base/error.h"
#include "sluice/checkpoint/model_io.h"
#include "sluice/config/fields.h"
#include "sluice/models/registry.h"
#include "sluice/train/parameters.h"
#include "sluice/train/setting_names.h"

namespace sluice::train {
namespace {

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

// Remedy for a size that only other architectures have; one that none has was found before.
std::string of_others(const std::string& size) {
  const auto alias = std::ranges::find(size_aliases(), size, &SizeAlias::from);
  const std::vector<std::string> names = alias == size_aliases().end() ? std::vector<std::string>{size} : alias->to;
  std::vector<std::string> others;
  for (const auto& [key, architectures] : size_settings()) {
    if (std::ranges::find(names, key) != names.end()) others.insert(others.end(), architectures.begin(), architectures.end());
  }
  return "leave it out: it is a size of " + join_or(others);
}

// The settings that name a size of this model.
std::vector<config::Setting> known_sizes(const std::vector<config::Setting>& settings, const std::string& architecture, const models::ModelConfig& config,
                                         Violations& violations) {
  std::vector<std::string> sizes;
  for (const auto& [key, value] : config.settings()) sizes.push_back(key);
  const auto is_known = [&](const std::string& key) { return std::ranges::find(sizes, key) != sizes.end(); };
  std::vector<config::Setting> known;
  for (config::Setting setting : settings) {
    const auto alias = std::ranges::find(size_aliases(), setting.key, &SizeAlias::from);
    if (!is_known(setting.key) && alias != size_aliases().end()) {
      if (const auto to = std::ranges::find_if(alias->to, is_known); to != alias->to.end()) setting.key = *to;
    }
    if (is_known(setting.key)) known.push_back(setting);
    else violations.add(setting.where + ": " + architecture + " has no " + setting.key, of_others(setting.key));
  }
  return known;
}

// A model from scratch takes its sizes from the recipe.
std::shared_ptr<models::ModelConfig> from_scratch(const ModelSection& section, const std::vector<config::Setting>& sizes, Violations& violations) {
  std::shared_ptr<models::ModelConfig> config;
  try {
    config = models::find_architecture(section.architecture, "model.architecture").make_config();
  } catch (const Error& error) {
    violations.add(error);
    return nullptr;
  }
  Violations own;
  config->apply(known_sizes(sizes, section.architecture, *config, own), own);
  config->check(own);
  violations.add_all(own);
  return own.empty() ? config : nullptr;  // rules that need its sizes would only repeat what is wrong with them
}

// A loaded model brings its architecture and sizes; a recipe (a base, say) may repeat its sizes, but not contradict them.
std::shared_ptr<models::ModelConfig> from_folder(ModelSection& section, const std::vector<config::Setting>& sizes, Violations& violations) {
  std::shared_ptr<models::ModelConfig> config;
  if (!fs::exists(section.load)) return nullptr;  // which find_recipe_paths has said
  try {
    checkpoint::ModelFolder folder = checkpoint::open_model_folder(section.load);
    section.architecture = folder.architecture;
    config = std::move(folder.config);
  } catch (const Error& error) {
    violations.add(error);
    return nullptr;
  }
  const auto loaded = config->settings();
  config->apply(known_sizes(sizes, section.architecture, *config, violations), violations);
  const auto asked = config->settings();
  for (std::size_t i = 0; i < loaded.size(); ++i) {
    if (loaded[i] == asked[i]) continue;
    violations.add(asked[i].first + " = " + asked[i].second + " contradicts " + section.load + ", which has " + loaded[i].second,
                   "leave the sizes of a loaded model out of the recipe");
  }
  return config;
}

}  // namespace

std::int64_t Recipe::accumulation_steps() const {
  if (train.gradient_accumulation_steps) return *train.gradient_accumulation_steps;
  return train.global_batch_size ? *train.global_batch_size / std::max<std::int64_t>(1, rows_at_once()) : 1;
}

ResolvedRecipe resolve(std::vector<config::Setting> settings, const ModelFinder& find_model, std::int64_t world) {
  ResolvedRecipe resolved;
  Violations violations;
  config::resolve_aliases(settings, aliases());
  check_names(settings, violations);
  split_lists(settings);
  find_recipe_paths(settings, find_model, violations, resolved.notes);
  for (const config::Setting& setting : settings) {
    const config::Value& value = setting.value;
    const std::string text = value.is_list ? config::format(value.items) : value.items.empty() ? "null" : value.items[0];
    resolved.given.push_back(setting.key + " = " + text + " (" + setting.where + ")");
  }
  const auto first_size = std::stable_partition(settings.begin(), settings.end(), [](const auto& setting) { return !is_model_size(setting.key); });
  const std::vector<config::Setting> sizes(first_size, settings.end());
  settings.erase(first_size, settings.end());

  config::apply(resolved.recipe, settings, violations);
  const parallel::ParallelismConfig& split = resolved.recipe.parallelism;
  const std::int64_t of_one_model = split.tensor_model_parallel_size * split.pipeline_model_parallel_size * split.context_parallel_size;
  resolved.recipe.processes = world;
  resolved.recipe.data_parallel_size = of_one_model > 0 ? std::max<std::int64_t>(1, world / of_one_model) : 1;
  ModelSection& model = resolved.recipe.model;
  resolved.model_config = model.load.empty() ? from_scratch(model, sizes, violations) : from_folder(model, sizes, violations);
  resolved.recipe.data = resolved.recipe.data.with_defaults();
  adopt_adapter(resolved, settings, violations);
  check_rules(resolved.recipe, resolved.model_config.get(), settings, violations, resolved.notes);
  violations.raise("the recipe");
  return resolved;
}

std::string to_yaml(const ResolvedRecipe& resolved) {
  std::string out = config::to_yaml(resolved.recipe);
  if (!resolved.recipe.model.load.empty()) return out;
  std::string sizes;
  for (const std::string& line : lines(resolved.model_config->to_yaml())) sizes += "  " + line + "\n";
  return out.insert(out.find("data:\n"), sizes);
}

std::vector<std::pair<std::string, std::vector<std::string>>> size_settings() {
  std::vector<std::pair<std::string, std::vector<std::string>>> sizes;
  for (const models::Architecture& architecture : models::architectures()) {
    for (const auto& [key, value] : architecture.make_config()->settings()) {
      auto found = std::ranges::find(sizes, key, &std::pair<std::string, std::vector<std::string>>::first);
      if (found == sizes.end()) found = sizes.insert(sizes.end(), {key, {}});
      found->second.push_back(architecture.name);
    }
  }
  return sizes;
}

namespace {

// "  model.hidden_size (llama, ...)": each size once.
std::string describe_sizes() {
  std::string out;
  for (const auto& [key, names] : size_settings()) {
    std::string list = names.size() == models::architectures().size() ? "all" : "";
    for (std::size_t i = 0; list != "all" && i < names.size(); ++i) list += (i ? ", " : "") + names[i];
    out += "  " + key + " (" + list + ")\n";
  }
  return out;
}

}  // namespace

std::string describe_settings() {
  Recipe recipe;
  std::string out;
  config::for_each_leaf(recipe, [&](const std::string& key, auto& field, const char* help) {
    out += "  " + key + " (" + config::format(field) + ")\n      " + help + "\n";
  });
  return out + "\nsizes of a model from scratch, and the architectures that have them:\n" + describe_sizes();
}

}  // namespace sluice::train
