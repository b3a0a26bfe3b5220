#include "sluice/cli/data_settings.h"

#include <algorithm>

#include "sluice/cli/arguments.h"

namespace sluice::cli {

std::vector<config::Setting> take_settings(Arguments& arguments, const std::vector<std::string>& switches) {
  std::vector<config::Setting> settings;
  Arguments rest;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (!word.starts_with("-") && word.find('=') != std::string::npos) {
      settings.push_back(config::parse_override(word));
      continue;
    }
    rest.push_back(word);
    const bool is_switch = word == "--help" || std::ranges::find(switches, flag_name(word)) != switches.end();
    const bool has_value = word.starts_with("--") && word.find('=') == std::string::npos && !is_switch;
    if (has_value && i + 1 < arguments.size()) rest.push_back(arguments[++i]);
  }
  arguments = rest;
  return settings;
}

void add_setting(std::vector<config::Setting>& settings, const std::string& key, const std::string& value) {
  if (!value.empty()) settings.push_back({key, {{value}}, "command line"});
}

}  // namespace sluice::cli
