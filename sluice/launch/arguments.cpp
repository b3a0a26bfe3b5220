#include "sluice/launch/arguments.h"

#include <algorithm>
#include <map>
#include <type_traits>

#include "sluice/base/error.h"
#include "sluice/base/nearest.h"
#include "sluice/config/fields.h"
#include "sluice/launch/config.h"

namespace sluice::launch {
namespace {

enum class Kind { kOne, kList, kSwitch };

// Our settings by their keys.
const std::map<std::string, Kind>& kinds() {
  static const auto all = [] {
    std::map<std::string, Kind> out;
    LaunchConfig config;
    config::for_each_leaf(config, [&](const std::string& key, auto& field, const char*) {
      using Field = std::remove_cvref_t<decltype(field)>;
      out[key] = std::is_same_v<Field, bool> ? Kind::kSwitch : std::is_same_v<Field, std::vector<std::string>> ? Kind::kList : Kind::kOne;
    }, "launch");
    return out;
  }();
  return all;
}

// "--ntasks-per-node" -> "launch.nproc_per_node".
std::string key_of(std::string flag) {
  std::replace(flag.begin(), flag.end(), '-', '_');
  std::vector<config::Setting> setting{{"launch." + flag.substr(2), {}, ""}};
  config::resolve_aliases(setting, aliases());
  return setting[0].key;
}

void add(std::vector<config::Setting>& settings, const std::string& key, Kind kind, const std::string& value) {
  const auto before = std::ranges::find(settings, key, &config::Setting::key);
  if (kind == Kind::kList && before != settings.end()) before->value.items.push_back(value);
  else settings.push_back({key, {{value}, kind == Kind::kList}, "command line"});
}

// "launch.nproc_per_node" -> "--nproc-per-node".
std::string flag_of(const std::string& key) {
  std::string flag = "--" + key.substr(key.find('.') + 1);
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

// What is near one of our flags is a slip: none of train's is.
void require_no_slip(const std::string& flag) {
  std::vector<std::string> ours{"--dry-run", "--skip-recipe-check", "--help"};
  for (const auto& [key, kind] : kinds()) ours.push_back(flag_of(key));
  for (const config::Alias& alias : aliases()) ours.push_back(flag_of(alias.from));
  const std::string near = did_you_mean(flag, ours);
  if (!near.empty()) throw Error("unknown flag " + flag, near + "what is train's own may stand behind its name: sluice launch ... train " + flag);
}

// Of the command that is not named.
void add_to_train(std::vector<std::string>& command, const std::string& word) {
  if (word.starts_with("--")) require_no_slip(word.substr(0, word.find('=')));
  if (command.empty()) command = {"train"};
  command.push_back(word);
}

}  // namespace

Arguments parse_arguments(const std::vector<std::string>& words) {
  Arguments out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    const auto equals = std::min(word.find('='), word.size());
    const std::string flag = word.substr(0, equals);
    if (!word.starts_with("-") && equals == word.size() && out.command.empty()) {
      out.command.assign(words.begin() + static_cast<std::ptrdiff_t>(i), words.end());
      return out;
    }
    const auto setting = word.starts_with("--") ? kinds().find(key_of(flag)) : kinds().end();
    if (word == "--dry-run" || word == "--dry_run") out.dry_run = true;
    else if (word == "--help" || word == "-h") out.help = true;
    else if (word == "--skip-recipe-check" || word == "--skip_recipe_check") out.recipe_check = RecipeCheck::kSkip;
    else if (setting == kinds().end()) add_to_train(out.command, word);
    else if (equals < word.size()) add(out.settings, setting->first, setting->second, word.substr(equals + 1));
    else if (setting->second == Kind::kSwitch) add(out.settings, setting->first, setting->second, "true");
    else if (i + 1 < words.size()) add(out.settings, setting->first, setting->second, words[++i]);
    else throw Error(flag + " needs a value", "write " + flag + " VALUE; `sluice launch --help` lists the flags");
  }
  return out;
}

std::string describe_flags() {
  std::string out;
  LaunchConfig config;
  config::for_each_leaf(config, [&](const std::string& key, auto& field, const char* help) {
    out += "  " + flag_of(key) + " (" + config::format(field) + ")\n      " + help + "\n";
  });
  return out;
}

}  // namespace sluice::launch
