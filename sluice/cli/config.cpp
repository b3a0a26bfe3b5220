#include "sluice/cli/config.h"

#include <algorithm>
#include <iostream>

#include "sluice/base/error.h"
#include "sluice/base/nearest.h"
#include "sluice/base/output_file.h"
#include "sluice/cli/arguments.h"
#include "sluice/config/fields.h"
#include "sluice/config/import.h"
#include "sluice/config/recipe.h"
#include "sluice/train/recipe.h"
#include "sluice/train/setting_names.h"

namespace sluice::cli {
namespace {

constexpr const char* kUsage =
    "usage: sluice config import --from SYSTEM FILE [--output RECIPE.yaml] [-- WORDS]\n\n"
    "Writes another system's configuration file as a recipe, to standard output or to --output, and says on standard error what became of\n"
    "each of its keys. A key that cannot be honoured is an error, and nothing is written.\n\n"
    "  import          primus, verl and megatron-bridge: YAML; deepspeed: JSON\n\n"
    "  --from SYSTEM   primus, verl, megatron-bridge or deepspeed\n"
    "  --output FILE   where the recipe is written\n"
    "  -- WORDS        the rest of the command line there: flags as `sluice train` takes them (--model-id DIR --data-file FILE),\n"
    "                  and the file's own key=value\n";

// The words behind `--`: overrides of the file's own keys, and flags of ours.
struct Rest {
  std::vector<config::Setting> theirs, ours;
};

// Our setting for a flag; flags that say what a run is to do, rather than how, are no part of a recipe.
config::Setting flag_setting(const std::string& word, const std::string& value) {
  const std::string name = flag_name(word);
  if (name == "resume") throw Error("--resume is no part of a recipe", "give it to `sluice train`");
  const auto flag = std::ranges::find(train::flags(), name, &train::Flag::name);
  std::vector<config::Setting> setting{config::parse_override((flag == train::flags().end() ? word : flag->key) + "=" + value)};
  config::resolve_aliases(setting, train::aliases());
  const std::vector<std::string> keys = train::setting_keys();
  if (std::ranges::find(keys, setting[0].key) != keys.end()) return {setting[0].key, setting[0].value, "--" + word};
  std::vector<std::string> known;
  for (const train::Flag& one : train::flags()) known.push_back("--" + one.name);
  throw Error("unknown flag --" + word, did_you_mean("--" + name, known) + "`sluice train --help` lists all");
}

Rest read_rest(const Arguments& words) {
  Rest out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (!word.starts_with("--")) {
      out.theirs.push_back(config::parse_override(word));
      continue;
    }
    const auto equals = word.find('=');
    const std::string name = word.substr(2, equals == std::string::npos ? equals : equals - 2);
    if (flag_name(name) == "disable-routing") {
      out.ours.push_back({"routing_supervision.weight", {{"0"}}, word});
      continue;
    }
    if (equals == std::string::npos && i + 1 == words.size()) throw Error(word + " needs a value", "write " + word + " VALUE");
    out.ours.push_back(flag_setting(name, equals == std::string::npos ? words[++i] : word.substr(equals + 1)));
  }
  return out;
}

// A setting that a recipe of ours may have, under any of its spellings.
std::optional<config::Setting> own_spelling(const config::Setting& theirs) {
  std::vector<config::Setting> setting{theirs};
  config::resolve_aliases(setting, train::aliases());
  const std::vector<std::string> keys = train::setting_keys();
  const bool is_known = std::ranges::find(keys, setting[0].key) != keys.end() ||
                        std::ranges::find(train::size_aliases(), setting[0].key, &train::SizeAlias::from) != train::size_aliases().end();
  return is_known ? std::optional(setting[0]) : std::nullopt;
}

// Values of the wrong kind are found now rather than by the run.
void check_values(const std::vector<config::Setting>& settings) {
  std::vector<config::Setting> typed;
  std::ranges::copy_if(settings, std::back_inserter(typed),
                       [](const config::Setting& setting) { return !train::is_model_size(setting.key) && setting.key != "base"; });
  train::Recipe recipe;
  Violations violations;
  config::apply(recipe, typed, violations);
  violations.raise("these values mean nothing here");
}

// What the script is given by its flags, over what its JSON says; what it leaves open has the script's own values.
void add_flags(config::System system, const Rest& rest, config::Imported& imported) {
  for (const config::Setting& flag : rest.ours) {
    std::erase_if(imported.settings, [&](const config::Setting& setting) { return setting.key == flag.key; });
    imported.settings.push_back(flag);
    imported.report.push_back(flag.where + " -> " + flag.key + " = " + (flag.value.items.empty() ? "null" : flag.value.items[0]));
  }
  if (system != config::System::kDeepspeed || rest.ours.empty()) return;
  imported.settings.insert(imported.settings.begin(), {"base", {{"mixtral_8x7b_routing"}}, "the values of the supervised-routing script"});
  imported.report.push_back("base: mixtral_8x7b_routing, the values that the supervised-routing script has where no flag says otherwise");
}

// What `sluice train` needs and the recipe does not say.
std::vector<std::string> still_open(const std::vector<config::Setting>& settings) {
  const auto has = [&](const std::string& key) { return std::ranges::find(settings, key, &config::Setting::key) != settings.end(); };
  std::vector<std::string> open;
  if (has("base")) return open;
  for (const char* key : {"model.load", "data.path", "output_dir"}) {
    if (!has(key) && !(std::string(key) == "data.path" && has("data.blend"))) open.push_back(key);
  }
  if (!has("train.train_iters") && !has("train.epochs")) open.push_back("train.train_iters");
  if (has("train.validation_interval") && !has("data.validation_path") && !has("data.validation_fraction"))
    open.push_back("data.validation_path");
  return open;
}

// Sections in the order that recipes have.
void sort_by_section(std::vector<config::Setting>& settings) {
  std::vector<std::string> sections{"base"};
  for (const std::string& key : config::keys(train::Recipe{})) sections.push_back(key.substr(0, key.find('.')));
  const auto place = [&](const config::Setting& setting) {
    return std::ranges::find(sections, setting.key.substr(0, setting.key.find('.'))) - sections.begin();
  };
  std::ranges::stable_sort(settings, {}, place);
}

config::System parse_system(const std::string& name) {
  config::System system{};
  const auto all = names(system);
  if (const std::string expected = config::parse_scalar(name, system); !expected.empty()) {
    throw Error(name.empty() ? "--from is not given" : "--from " + name + " is not " + expected,
                "write --from with " + join_or({all.begin(), all.end()}));
  }
  return system;
}

struct Given {
  std::string from, output, file;
};

Given read_given(const Arguments& words) {
  Given out;
  const std::vector<std::pair<std::string, std::string*>> flags{{"--from", &out.from}, {"--output", &out.output}};
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string name = words[i].substr(0, words[i].find('='));
    const auto flag = std::ranges::find(flags, name, [](const auto& one) { return one.first; });
    if (flag != flags.end()) {
      if (name.size() == words[i].size() && i + 1 == words.size())
        throw Error(name + " needs a value", "`sluice config --help` says which");
      *flag->second = name.size() < words[i].size() ? words[i].substr(name.size() + 1) : words[++i];
    } else if (words[i].starts_with("--")) {
      throw Error("unknown flag " + name, "use --from and --output; what the other system's command line has stands behind `--`");
    } else if (!out.file.empty()) {
      throw Error("'" + words[i] + "' is a second file", "import one file at a time; overrides stand behind `--`");
    } else {
      out.file = words[i];
    }
  }
  return out;
}

int import(const Arguments& arguments, Log& log) {
  const auto dashes = std::ranges::find(arguments, "--");
  const Rest rest = read_rest({dashes == arguments.end() ? dashes : dashes + 1, arguments.end()});
  const Given given = read_given({arguments.begin(), dashes});
  const config::System system = parse_system(given.from);
  if (given.file.empty()) throw Error("no file to import is given", "sluice config import --from " + given.from + " FILE");

  if (!given.output.empty()) require_other_file(given.file, given.output);
  std::vector<config::Setting> theirs = config::load_recipe(given.file, {});
  theirs.insert(theirs.end(), rest.theirs.begin(), rest.theirs.end());
  config::Imported imported = config::import_settings(system, theirs, own_spelling);
  add_flags(system, rest, imported);
  check_values(imported.settings);
  sort_by_section(imported.settings);
  const std::string recipe =
      "# " + fs::path(given.file).filename().string() + " of " + given.from + "\n" + config::recipe_yaml(imported.settings);
  for (const std::string& line : imported.report) log.info(line);
  if (const auto open = still_open(imported.settings); !open.empty()) {
    std::string list;
    for (const std::string& key : open) list += (list.empty() ? "" : ", ") + key;
    log.note("the recipe does not say " + list + ": give them to `sluice train` as key=value");
  }
  if (given.output.empty()) {
    std::cout << recipe;
    return 0;
  }
  OutputFile out(given.output);
  out.write(recipe);
  out.commit();
  return 0;
}

}  // namespace

int run_config(const Arguments& arguments, Log& log) {
  const bool asks_help = !arguments.empty() && (arguments[0] == "--help" || (arguments.size() == 2 && arguments[1] == "--help"));
  if (!asks_help && !arguments.empty() && arguments[0] == "import") return import({arguments.begin() + 1, arguments.end()}, log);
  if (asks_help) {
    std::cout << kUsage;
    return 0;
  }
  throw Error("sluice config takes `import`", "sluice config import --from primus FILE; `sluice config --help` says more");
}

}  // namespace sluice::cli
