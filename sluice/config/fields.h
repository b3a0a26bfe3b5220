// One declaration a setting. A config struct lists its members once,
//     void fields(auto&& field) { field("lr", lr, "Peak learning rate, reached after warm-up."); }
// and from that come recipe loading, overrides, --help, the copy in the run folder and the difference shown on resume.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "sluice/config/value.h"

namespace sluice::config {

template <class T>
concept Section = requires(T& t) { t.fields([](auto&&...) {}); };

// Calls visit(dotted_key, field, help) for each leaf of `section`, in the order of declaration.
template <Section S, class Visit>
void for_each_leaf(S& section, const Visit& visit, const std::string& prefix = "") {
  section.fields([&](const char* name, auto& field, const char* help) {
    const std::string key = prefix.empty() ? std::string(name) : prefix + "." + name;
    if constexpr (Section<std::remove_reference_t<decltype(field)>>) for_each_leaf(field, visit, key);
    else visit(key, field, help);
  });
}

template <Section S>
std::vector<std::string> keys(S section, const std::string& prefix = "") {
  std::vector<std::string> out;
  for_each_leaf(section, [&](const std::string& key, auto&, const char*) { out.push_back(key); }, prefix);
  return out;
}

// Sets each setting in turn, later ones over earlier; a key is `prefix`, a dot and the field's name (without prefix: the name alone).
// Unknown keys (with the nearest known one) and values of the wrong kind are added to `violations`; the fields they name keep their value.
template <Section S>
void apply(S& root, const std::vector<Setting>& settings, Violations& violations, const std::string& prefix = "") {
  for (const Setting& setting : settings) {
    bool known = false;
    for_each_leaf(root, [&](const std::string& key, auto& field, const char*) {
      if (key != setting.key) return;
      known = true;
      const auto before = field;
      const std::string expected = parse_value(setting.value, field);
      if (expected.empty()) return;
      field = before;
      violations.add(setting.where + ": " + key + " = " + as_written(setting.value) + " is not " + expected,
                     "give " + expected + ", for example " + key + "=" + format(before));
    }, prefix);
    if (!known) violations.add(setting.where + ": unknown setting '" + setting.key + "'", did_you_mean(setting.key, keys(root, prefix), "'") + "the names are " + join_or(keys(root, prefix)));
  }
}

// The whole config as nested YAML that loads back to the same values; with `help`, each setting's meaning stands above it.
enum class YamlHelp { kNone, kComments };
template <Section S>
std::string to_yaml(S root, YamlHelp help = YamlHelp::kNone) {
  std::string out;
  std::vector<std::string> open;  // the sections we are inside
  for_each_leaf(root, [&](const std::string& key, auto& field, const char* text) {
    std::vector<std::string> path;
    for (std::size_t at = 0; at != std::string::npos;) {
      const auto dot = key.find('.', at);
      path.push_back(key.substr(at, dot == std::string::npos ? dot : dot - at));
      at = dot == std::string::npos ? dot : dot + 1;
    }
    std::size_t shared = 0;
    while (shared < open.size() && shared + 1 < path.size() && open[shared] == path[shared]) ++shared;
    open.assign(path.begin(), path.end() - 1);
    for (std::size_t i = shared; i < open.size(); ++i) out += std::string(2 * i, ' ') + open[i] + ":\n";
    const std::string indent(2 * open.size(), ' ');
    if (help == YamlHelp::kComments) out += indent + "# " + text + "\n";
    out += indent + path.back() + ": " + format(field) + "\n";
  });
  return out;
}

// "optimizer.lr: 1e-3 -> 2e-3", one line for each leaf that differs; what resume shows.
template <Section S>
std::vector<std::string> differences(S before, S after) {
  std::vector<std::string> old_values, out;
  for_each_leaf(before, [&](const std::string&, auto& field, const char*) { old_values.push_back(format(field)); });
  std::size_t i = 0;
  for_each_leaf(after, [&](const std::string& key, auto& field, const char*) {
    if (const std::string now = format(field); now != old_values[i++]) out.push_back(key + ": " + old_values[i - 1] + " -> " + now);
  });
  return out;
}

}  // namespace sluice::config
