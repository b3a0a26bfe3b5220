#include <algorithm>
#include <set>

#include "sluice/config/import_rules.h"

namespace sluice::config {
namespace {

// A value as YAML that reads back as the same text: numbers and truth values bare, other texts quoted where they must be.
std::string yaml_of(const std::string& text) {
  double number = 0;
  bool truth = false;
  return parse_scalar(text, number).empty() || parse_scalar(text, truth).empty() ? text : format(text);
}

std::string yaml_of(const Value& value) {
  if (value.is_null) return "null";
  if (!value.is_list) return yaml_of(value.items.at(0));
  std::string out;
  for (const std::string& item : value.items) out += (out.empty() ? "" : ", ") + yaml_of(item);
  return "[" + out + "]";
}

// The settings whose keys begin with `prefix`, by the next part of their keys.
void write(const std::vector<Setting>& settings, const std::string& prefix, std::string& out) {
  const std::string indent(2 * static_cast<std::size_t>(std::ranges::count(prefix, '.')), ' ');
  std::set<std::string> written;
  for (const Setting& setting : settings) {
    if (!setting.key.starts_with(prefix)) continue;
    const std::string rest = setting.key.substr(prefix.size()), part = rest.substr(0, rest.find('.'));
    if (!written.insert(part).second) continue;
    if (part == rest) {
      out += indent + part + ": " + yaml_of(setting.value) + "  # " + setting.where + "\n";
    } else {
      out += indent + part + ":\n";
      write(settings, prefix + part + ".", out);
    }
  }
}

}  // namespace

std::string recipe_yaml(const std::vector<Setting>& settings) {
  std::string out;
  write(settings, "", out);
  return out;
}

}  // namespace sluice::config
