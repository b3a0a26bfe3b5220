#include "sluice/config/recipe.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>

#include "sluice/base/error.h"
#include "sluice/config/yaml_file.h"

namespace sluice::config {
namespace {

// `text_of` gives a scalar's text.
template <class TextOf>
Value read_value(const YAML::Node& node, const std::string& where, const TextOf& text_of) {
  Value value;
  if (node.IsNull()) {
    value.is_null = true;
  } else if (node.IsSequence()) {
    value.is_list = true;
    for (const YAML::Node& item : node) {
      if (!item.IsScalar()) throw Error(where + ": a list inside a list, or a mapping inside a list, means nothing here", "write a plain list: [a, b, c]");
      value.items.push_back(text_of(item));
    }
  } else {
    value.items.push_back(text_of(node));
  }
  return value;
}

constexpr int kMostLevels = 8;

// The settings below one mapping of a file, its keys behind `prefix`.
class Flattener {
 public:
  Flattener(const YamlFile& file, std::vector<Setting>& out) : file_(file), out_(out) {}

  void flatten(const YAML::Node& node, const std::string& prefix = "") {
    for (const auto& entry : node) {
      const int line = entry.first.Mark().line + 1;
      const std::string where = file_.name + ":" + std::to_string(line);
      if (!entry.first.IsScalar()) throw Error(where + ": a key must be a word", "write `section:` and `key: value` lines");
      const std::string key = prefix + scalar_text(entry.first, file_);
      if (std::count(key.begin(), key.end(), '.') > kMostLevels) {  // an anchor inside itself (a: &x {b: *x}) would go on for ever
        throw Error(where + ": '" + key + "' lies deeper than any setting", "write `section:` and below it `key: value`, without YAML anchors");
      }
      const auto [first, is_new] = first_lines_.try_emplace(key, line);
      if (!is_new) throw Error(where + ": '" + key + "' is given twice, in line " + std::to_string(first->second) + " too", "keep one of the two");
      if (entry.second.IsMap()) flatten(entry.second, key + ".");
      else out_.push_back({key, read_value(entry.second, where, [&](const YAML::Node& scalar) { return scalar_text(scalar, file_); }), where});
    }
  }

 private:
  const YamlFile& file_;
  std::vector<Setting>& out_;
  std::map<std::string, int> first_lines_;  // of each key, sections too
};

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

void load(const fs::path& path, const std::vector<fs::path>& folders, std::vector<fs::path> chain, std::vector<Setting>& out) {
  const fs::path whole = fs::weakly_canonical(path);
  if (std::find(chain.begin(), chain.end(), whole) != chain.end()) {
    throw Error(path.string() + ": its `base:` leads back to itself", "remove one `base:` of the circle");
  }
  chain.push_back(whole);
  const YamlFile file = read_yaml(path);
  if (file.root.IsScalar()) scalar_text(file.root, file);  // a quote at the beginning that is never closed
  if (!file.root.IsNull() && !file.root.IsMap()) throw Error(path.string() + ": a recipe is a mapping of sections", "write `model:` and the like at the top level");
  std::vector<Setting> own;
  Flattener(file, own).flatten(file.root);
  for (const Setting& setting : own) {
    if (setting.key != "base" || setting.value.is_null) continue;
    if (setting.value.is_list) throw Error(setting.where + ": `base:` is one recipe, not a list", "name one; it may have a `base:` in turn");
    const fs::path beside = path.parent_path() / setting.value.items[0];
    load(fs::is_regular_file(beside) ? beside : find_recipe(setting.value.items[0], folders), folders, chain, out);
  }
  std::erase_if(own, [](const Setting& setting) { return setting.key == "base"; });
  out.insert(out.end(), own.begin(), own.end());
}

std::string lower_case(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

// Whether one of the aliases, those of sections left out, was the setting's name.
bool resolve_exact(Setting& setting, const std::vector<Alias>& aliases) {
  const auto exact = std::ranges::find(aliases, setting.key, &Alias::from);
  if (exact == aliases.end()) return false;
  setting.key = exact->to;
  for (std::string& item : setting.value.items) {
    const auto value = std::ranges::find(exact->values, lower_case(item), &AliasValue::from);
    if (value != exact->values.end()) item = value->to;
  }
  return true;
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
  throw Error("there is no recipe '" + name_or_path + "'",
              did_you_mean(fs::path(name_or_path).stem().string(), known, "'") + "give the path of a YAML file" + (known.empty() ? "" : ", or a name that `sluice recipes list` shows"));
}

Setting parse_override(const std::string& text) {
  const auto equals = text.find('=');
  if (equals == std::string::npos || equals == 0) throw Error("'" + text + "' is not an override", "write section.key=value, for example optimizer.lr=1e-4");
  const std::string written = text.substr(equals + 1);
  try {
    // An empty value is an empty text; a comma list without brackets stays one text, for sweeps to split.
    const YAML::Node node = written.empty() ? YAML::Node("") : YAML::Load(written);
    const bool is_text = node.IsMap() || (node.IsNull() && written.find(',') != std::string::npos);  // yaml-cpp reads a lone comma as null
    const auto text_of = [](const YAML::Node& scalar) { return scalar.Scalar(); };
    return {text.substr(0, equals), is_text ? Value{{written}} : read_value(node, "command line", text_of), "command line"};
  } catch (const YAML::Exception&) {
    return {text.substr(0, equals), plain_list(written).value_or(Value{{written}}), "command line"};
  }
}

void resolve_aliases(std::vector<Setting>& settings, const std::vector<Alias>& aliases) {
  for (Setting& setting : settings) {
    if (resolve_exact(setting, aliases)) continue;
    for (const Alias& alias : aliases) {
      if (!alias.from.ends_with(".*")) continue;
      const std::string section = alias.from.substr(0, alias.from.size() - 1);
      if (!setting.key.starts_with(section)) continue;
      setting.key = alias.to.substr(0, alias.to.size() - 1) + setting.key.substr(section.size());
      resolve_exact(setting, aliases);
      break;
    }
  }
}

}  // namespace sluice::config
