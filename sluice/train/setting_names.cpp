#include "sluice/train/setting_names.h"

#include <algorithm>
#include <map>
#include <set>

#include "sluice/config/fields.h"
#include "sluice/config/nearest_setting.h"
#include "sluice/config/recipe.h"
#include "sluice/train/recipe.h"

namespace sluice::train {
namespace {

// "recipe.yaml:12" -> "recipe.yaml"; the command line has no lines, and may say the same thing twice.
std::string file_of(const config::Setting& setting) {
  const auto colon = setting.where.rfind(':');
  return colon == std::string::npos ? "" : setting.where.substr(0, colon);
}

void check_twice(const std::vector<config::Setting>& settings, Violations& violations) {
  std::map<std::pair<std::string, std::string>, std::string> first;  // file and key -> where
  for (const config::Setting& setting : settings) {
    const std::string file = file_of(setting);
    if (file.empty()) continue;
    const auto [found, is_new] = first.try_emplace({file, setting.key}, setting.where);
    if (!is_new) violations.add(found->second + " and " + setting.where + " both set " + setting.key + ", by two of its names", "keep one of the two");
  }
}

}  // namespace

bool is_model_size(const std::string& key) {
  return key.starts_with("model.") && key != "model.architecture" && key != "model.load" && key != "model.tokenizer";
}

std::vector<std::string> setting_keys() {
  std::vector<std::string> keys = config::keys(Recipe{});
  for (const auto& [key, architectures] : size_settings()) {
    if (std::ranges::find(keys, key) == keys.end()) keys.push_back(key);
  }
  return keys;
}

std::string did_you_mean(const std::string& key) {
  std::vector<std::string> names = setting_keys();
  for (const config::Alias& alias : aliases()) {
    if (!alias.from.ends_with(".*")) names.push_back(alias.from);
  }
  std::vector<config::Setting> nearest;
  for (const std::string& name : config::nearest_settings(key, names)) nearest.push_back({name, {}, ""});
  config::resolve_aliases(nearest, aliases());
  std::vector<std::string> meant;
  for (const config::Setting& setting : nearest) {
    if (const std::string quoted = "'" + setting.key + "'"; std::ranges::find(meant, quoted) == meant.end()) meant.push_back(quoted);
  }
  return meant.empty() ? "there is nothing near that name; `sluice train --help` lists all settings" : "did you mean " + join_or(meant) + "?";
}

void check_names(std::vector<config::Setting>& settings, Violations& violations) {
  check_twice(settings, violations);
  const std::vector<std::string> keys = setting_keys();
  const auto is_unknown = [&](const config::Setting& setting) {
    const bool sized_elsewhere = is_model_size(setting.key) && std::ranges::find(size_aliases(), setting.key, &SizeAlias::from) != size_aliases().end();
    return !sized_elsewhere && std::ranges::find(keys, setting.key) == keys.end();
  };
  for (const config::Setting& setting : settings) {
    if (is_unknown(setting)) violations.add(setting.where + ": unknown setting '" + setting.key + "'", did_you_mean(setting.key));
  }
  std::erase_if(settings, is_unknown);
}

void split_lists(std::vector<config::Setting>& settings) {
  std::set<std::string> lists;
  Recipe recipe;
  config::for_each_leaf(recipe, [&](const std::string& key, auto& field, const char*) {
    if constexpr (requires { field.push_back(field.front()); } && !std::is_same_v<std::remove_cvref_t<decltype(field)>, std::string>) lists.insert(key);
  });
  for (config::Setting& setting : settings) {
    const bool is_written_out = setting.value.is_list || setting.value.items.size() != 1 || !file_of(setting).empty();
    if (is_written_out || !lists.contains(setting.key) || setting.value.items[0].find(',') == std::string::npos) continue;
    setting = {setting.key, config::parse_override(setting.key + "=[" + setting.value.items[0] + "]").value, setting.where};
  }
}

}  // namespace sluice::train
