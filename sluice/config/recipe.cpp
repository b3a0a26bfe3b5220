#include "sluice/config/recipe.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <optional>
#include <set>

#include "sluice/base/error.h"

namespace sluice::config {
namespace {

Value read_value(const YAML::Node& node, const std::string& where) {
  Value value;
  if (node.IsNull()) {
    value.is_null = true;
  } else if (node.IsSequence()) {
    value.is_list = true;
    for (const YAML::Node& item : node) {
      if (!item.IsScalar()) throw Error(where + ": a list inside a list, or a mapping inside a list, means nothing here", "write a plain list: [a, b, c]");
      value.items.push_back(item.Scalar());
    }
  } else {
    value.items.push_back(node.Scalar());
  }
  return value;
}

constexpr int kMostLevels = 8;

void flatten(const YAML::Node& node, const std::string& prefix, const std::string& file, std::vector<Setting>& out) {
  std::set<std::string> seen;
  for (const auto& entry : node) {
    const std::string where = file + ":" + std::to_string(entry.first.Mark().line + 1);
    if (!entry.first.IsScalar()) throw Error(where + ": a key must be a word", "write `section:` and `key: value` lines");
    const std::string key = prefix + entry.first.Scalar();
    if (std::count(key.begin(), key.end(), '.') > 8) throw Error(where + ": sections are nested without end (an alias inside its own anchor?)", "write plain sections");
    if (!seen.insert(key).second) throw Error(where + ": '" + key + "' is given twice", "keep one of the two");
    if (std::count(key.begin(), key.end(), '.') > kMostLevels) {  // an anchor inside itself (a: &x {b: *x}) would go on for ever
      throw Error(where + ": '" + key + "' lies deeper than any setting", "write `section:` and below it `key: value`, without YAML anchors");
    }
    if (entry.second.IsMap()) flatten(entry.second, key + ".", file, out);
    else out.push_back({key, read_value(entry.second, where), where});
  }
}

// "[a, *.b]" as the list that it is meant to be, where YAML takes the * for an alias. Nothing for any other text.
std::optional<Value> plain_list(const std::string& text) {
  if (text.size() < 2 || text.front() != '[' || text.back() != ']' || text.find_first_of("[]{}\"'#&", 1) != text.size() - 1) return std::nullopt;
  Value value;
  value.is_list = true;
  for (std::size_t at = 1; at < text.size();) {
    const auto comma = std::min(text.find(',', at), text.size() - 1);
    const auto begin = text.find_first_not_of(" \t", at), end = text.find_last_not_of(" \t", comma - 1);
    if (begin >= comma) return std::nullopt;  // an empty item
    value.items.push_back(text.substr(begin, end - begin + 1));
    at = comma + 1;
  }
  return value;
}

YAML::Node parse_yaml(const fs::path& path) {
  try {
    return YAML::Load(read_file(path));
  } catch (const YAML::Exception& e) {
    throw Error(path.string() + ":" + std::to_string(e.mark.line + 1) + ": not valid YAML: " + e.msg, "mend that line; text that begins with * or & needs quotes: [\"*.router.*\"]");
  }
}

void load(const fs::path& path, const std::vector<fs::path>& folders, std::vector<fs::path> chain, std::vector<Setting>& out) {
  const fs::path whole = fs::weakly_canonical(path);
  if (std::find(chain.begin(), chain.end(), whole) != chain.end()) {
    throw Error(path.string() + ": its `base:` leads back to itself", "remove one `base:` of the circle");
  }
  chain.push_back(whole);
  const YAML::Node root = parse_yaml(path);
  if (!root.IsNull() && !root.IsMap()) throw Error(path.string() + ": a recipe is a mapping of sections", "write `model:` and the like at the top level");
  std::vector<Setting> own;
  flatten(root, "", path.string(), own);
  for (const Setting& setting : own) {
    if (setting.key != "base" || setting.value.items.empty()) continue;
    const fs::path beside = path.parent_path() / setting.value.items[0];
    load(fs::is_regular_file(beside) ? beside : find_recipe(setting.value.items[0], folders), folders, chain, out);
  }
  std::erase_if(own, [](const Setting& setting) { return setting.key == "base"; });
  out.insert(out.end(), own.begin(), own.end());
}

}  // namespace

std::vector<Setting> load_recipe(const fs::path& path, const std::vector<fs::path>& recipe_folders) {
  std::vector<Setting> settings;
  load(path, recipe_folders, {}, settings);
  return settings;
}

fs::path find_recipe(const std::string& name_or_path, const std::vector<fs::path>& recipe_folders) {
  if (fs::is_regular_file(name_or_path)) return name_or_path;
  std::vector<std::string> known;
  for (const fs::path& folder : recipe_folders) {
    if (!fs::is_directory(folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (entry.path().extension() != ".yaml") continue;
      if (entry.path().stem() == name_or_path || fs::relative(entry.path(), folder) == name_or_path) return entry.path();
      known.push_back(entry.path().stem());
    }
  }
  const std::string near = nearest(fs::path(name_or_path).stem().string(), known);
  throw Error("there is no recipe '" + name_or_path + "'",
              near.empty() ? "give the path of a YAML file" : "give the path of a YAML file, or a name that `sluice recipes list` shows; nearest: " + near);
}

Setting parse_override(const std::string& text) {
  const auto equals = text.find('=');
  if (equals == std::string::npos || equals == 0) throw Error("'" + text + "' is not an override", "write section.key=value, for example optimizer.lr=1e-4");
  const std::string written = text.substr(equals + 1);
  try {
    // An empty value is an empty text; a comma list without brackets stays one text, for sweeps to split.
    const YAML::Node node = written.empty() ? YAML::Node("") : YAML::Load(written);
    const bool is_text = node.IsMap() || (node.IsNull() && written.find(',') != std::string::npos);  // yaml-cpp reads a lone comma as null
    return {text.substr(0, equals), is_text ? Value{{written}} : read_value(node, "command line"), "command line"};
  } catch (const YAML::Exception&) {
    return {text.substr(0, equals), plain_list(written).value_or(Value{{written}}), "command line"};
  }
}

void resolve_aliases(std::vector<Setting>& settings, const std::vector<Alias>& aliases) {
  for (Setting& setting : settings) {
    const auto exact = std::find_if(aliases.begin(), aliases.end(), [&](const Alias& alias) { return alias.from == setting.key; });
    if (exact != aliases.end()) {
      setting.key = exact->to;
      continue;
    }
    for (const Alias& alias : aliases) {
      if (!alias.from.ends_with(".*")) continue;
      const std::string section = alias.from.substr(0, alias.from.size() - 1);
      if (!setting.key.starts_with(section)) continue;
      setting.key = alias.to.substr(0, alias.to.size() - 1) + setting.key.substr(section.size());
      break;
    }
  }
}

}  // namespace sluice::config
