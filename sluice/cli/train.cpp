#include "sluice/cli/train.h"

#include <algorithm>
#include <charconv>
#include <iostream>
#include <map>
#include <optional>
#include <set>

#include "sluice/base/interrupt.h"
#include "sluice/base/nearest.h"
#include "sluice/base/user_error.h"
#include "sluice/cli/arguments.h"
#include "sluice/cli/hub.h"
#include "sluice/cli/ranks.h"
#include "sluice/cli/run_recipe.h"
#include "sluice/config/fields.h"
#include "sluice/models/registry.h"
#include "sluice/monitor/report.h"
#include "sluice/train/resume.h"
#include "sluice/train/run.h"
#include "sluice/train/setting_names.h"

namespace sluice::cli {
namespace {

struct TrainArguments {
  std::string config;
  fs::path run;  // whose config.yaml is the recipe, in place of `config`
  std::vector<config::Setting> overrides;  // in the order given; later ones win
  train::RunOptions options;
  bool dry_run = false, disable_routing = false;
  std::optional<std::int64_t> world_size;  // that a dry run checks for; else that of this run
  std::vector<std::string> notes;  // of flags that are taken and change nothing
};

constexpr const char* kUsage =
    "usage: sluice train --config RECIPE [--flag VALUE ...] [section.key=value ...]\n\n"
    "  --config RECIPE        a YAML file, or the name of a recipe (`sluice recipes list`); also --config-file\n"
    "  --resume PATH|latest   go on from a run, a step folder, or the newest checkpoint in --output-dir; without --config by that\n"
    "                         run's own config.yaml, in its folder\n"
    "  --overwrite            replace a run that is already in --output-dir\n"
    "  --disable-routing      train without routing supervision (routing_supervision.weight=0)\n"
    "  --dry-run              check everything, say what would run, start nothing\n"
    "  --world-size N         with --dry-run: check for N processes, in this one\n"
    "  --framework NAME       taken from Primus's command lines (megatron_bridge, megatron, torchtitan); changes nothing, and says so\n"
    "  --convert-from-hf      the same: model.load reads Hugging Face's folders as they are\n\n"
    "Several values of one setting, separated by commas, make a sweep: routing_supervision.weight=0,0.05,0.1\n";

void print_help() {
  std::cout << kUsage << "\nflags, each for one setting ('_' and '-' are the same):\n";
  for (const train::Flag& flag : train::flags()) std::cout << "  --" << flag.name << std::string(flag.name.size() < 32 ? 32 - flag.name.size() : 1, ' ') << flag.key << "\n";
  std::cout << "\nsettings, with defaults:\n" << train::describe_settings();
}

[[noreturn]] void unknown_flag(const std::string& name) {
  std::vector<std::string> known{"--config", "--config-file", "--resume", "--overwrite", "--disable-routing", "--dry-run", "--framework", "--convert-from-hf", "--help"};
  for (const train::Flag& flag : train::flags()) known.push_back("--" + flag.name);
  for (const config::Alias& alias : train::aliases()) {
    if (alias.from.find('.') == std::string::npos) known.push_back("--" + flag_name(alias.from));
  }
  throw Error("unknown flag --" + name, did_you_mean("--" + name, known) + "`sluice train --help` lists all");
}

std::string resume_from(const std::string& value) {
  if (value.empty()) throw Error("--resume is given nothing to go on from", "write --resume latest, or --resume with a run folder or step folder");
  return value;
}

// What each setting was given by, of the flags that mean it, and the values.
using Said = std::map<std::string, std::pair<std::string, std::vector<std::string>>>;

// Error when two flags that mean one setting say different things; the same flag again replaces what it said before.
void require_one_word(Said& said, const std::string& key, const std::string& flag, const std::vector<std::string>& values) {
  const auto [before, first] = said.try_emplace(key, flag, values);
  if (!first && before->second.first != flag && before->second.second != values) {
    throw Error("--" + before->second.first + " and --" + flag + " both mean " + key + ", and say different things", "give one of them");
  }
  before->second = {flag, values};
}

bool may_stand_alone(const std::string& name) {
  const auto flag = std::ranges::find(train::flags(), name, &train::Flag::name);
  return flag != train::flags().end() && flag->value == train::FlagValue::kTrueIfNone;
}

// The setting that a flag stands for: one of our flags, or a setting's other name at the top level, such as TrainingArguments have
// (--num_train_epochs). Empty for any other flag.
std::string key_of_flag(const std::string& name) {
  const auto flag = std::ranges::find(train::flags(), name, &train::Flag::name);
  if (flag != train::flags().end()) return flag->key;
  const auto alias = std::ranges::find_if(train::aliases(), [&](const config::Alias& a) { return a.from.find('.') == std::string::npos && flag_name(a.from) == name; });
  return alias == train::aliases().end() ? "" : alias->from;
}

std::int64_t world_size_from(const std::string& text) {
  constexpr std::int64_t kMost = 1 << 20;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && end == text.data() + text.size() && value >= 1 && value <= kMost) return value;
  throw Error("--world-size " + text + " is not a whole number from 1 to " + std::to_string(kMost), "write the number of processes that the run will have");
}

// One `--name value`, `--name=value` or `section.key=value` after another, in any order.
TrainArguments parse(const Arguments& arguments) {
  TrainArguments out;
  Said said;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (!word.starts_with("--")) {
      out.overrides.push_back(config::parse_override(word));
      continue;
    }
    const auto equals = word.find('=');
    const std::string written = word.substr(2, equals == std::string::npos ? equals : equals - 2), name = flag_name(written);
    const auto value = [&]() -> std::string {
      if (equals != std::string::npos) return word.substr(equals + 1);
      if (may_stand_alone(name)) {
        const std::string next = i + 1 < arguments.size() ? arguments[i + 1] : "";
        const bool is_word = next == "true" || next == "false";
        return is_word ? arguments[++i] : "true";
      }
      if (i + 1 == arguments.size()) throw Error("--" + name + " needs a value", "write --" + name + " VALUE");
      return arguments[++i];
    };
    if (equals != std::string::npos && (name == "overwrite" || name == "disable-routing" || name == "dry-run" || name == "convert-from-hf" || name == "help")) {
      throw Error(word + ": --" + name + " takes no value", "write --" + name + ", or leave it out");
    }
    if (const std::string key = key_of_flag(name); !key.empty()) {
      std::vector<config::Setting> setting{config::parse_override(key + "=" + value())};
      config::resolve_aliases(setting, train::aliases());
      require_one_word(said, setting[0].key, name, setting[0].value.items);
      out.overrides.push_back(setting[0]);
    }
    else if (name == "config" || name == "config-file") out.config = value();
    else if (name == "resume") out.options.resume = resume_from(value());
    else if (name == "overwrite") out.options.existing = train::Existing::kOverwrite;
    else if (name == "disable-routing") out.disable_routing = true;
    else if (name == "dry-run") out.dry_run = true;
    else if (name == "world-size") out.world_size = world_size_from(value());
    else if (name == "framework") out.notes.push_back(framework_note(value()));
    else if (name == "convert-from-hf") out.notes.push_back("--convert-from-hf changes nothing: model.load reads Hugging Face's folders as they are");
    else if (written.find('.') != std::string::npos) out.overrides.push_back(config::parse_override(written + "=" + value()));
    else unknown_flag(name);
  }
  return out;
}

// Flags that ask for opposite things: neither is quietly left out. The overrides have their own names here.
void check_contradictions(const TrainArguments& given) {
  Violations violations;
  if (!given.options.resume.empty() && given.options.existing == train::Existing::kOverwrite) {
    violations.add("--resume " + given.options.resume + " and --overwrite contradict each other: one goes on with the run, the other removes it", "leave one of the two out");
  }
  for (const config::Setting& setting : given.overrides) {
    const bool other = setting.key == "routing_supervision.weight" && setting.value.items != std::vector<std::string>{"0"};
    if (!given.disable_routing || !other) continue;
    violations.add("--disable-routing and routing_supervision.weight=" + (setting.value.items.empty() ? "null" : setting.value.items[0]) + " contradict each other", "leave one of the two out");
  }
  if (given.world_size && !given.dry_run) violations.add("--world-size without --dry-run has no effect: a run has the processes that were started", "add --dry-run, or leave it out");
  violations.raise("the flags");
}

// Settings that decide the same thing: what the command line says of one takes the recipe's word on the other back.
void let_command_line_win(std::vector<config::Setting>& settings, const std::vector<config::Setting>& overrides) {
  static const std::vector<std::pair<std::string, std::string>> rivals{
      {"train.epochs", "train.train_iters"}, {"train.train_iters", "train.epochs"},
      {"train.gradient_accumulation_steps", "train.global_batch_size"}, {"train.global_batch_size", "train.gradient_accumulation_steps"}};
  for (const auto& [given, rival] : rivals) {
    const auto has = [&](const std::string& key) { return std::any_of(overrides.begin(), overrides.end(), [&](const auto& s) { return s.key == key; }); };
    if (has(given) && !has(rival)) std::erase_if(settings, [&, r = rival](const auto& s) { return s.key == r; });
  }
}

// The values of a sweep: a scalar setting with commas in it. None for everything else. Error for a value that is empty or given twice: two
// runs would share a folder.
std::vector<std::string> values_of(const config::Setting& setting) {
  if (setting.value.is_list || setting.value.items.size() != 1) return {};
  bool scalar = setting.key.starts_with("model.") && setting.key != "model.load" && setting.key != "model.tokenizer";
  train::Recipe recipe;
  config::for_each_leaf(recipe, [&](const std::string& key, auto& field, const char*) {
    using Field = std::remove_cvref_t<decltype(field)>;
    if (key == setting.key) scalar = !std::is_same_v<Field, std::string> && !requires { field.push_back(field.front()); };
  });
  const std::string& text = setting.value.items[0];
  if (!scalar || text.find(',') == std::string::npos) return {};
  std::vector<std::string> values;
  for (std::size_t at = 0; at <= text.size();) {
    const auto comma = std::min(text.find(',', at), text.size());
    const std::string value = text.substr(at, comma - at);
    if (value.empty()) throw Error(setting.key + "=" + text + ": a value of the sweep is empty", "write values with commas between them: " + setting.key + "=1,2");
    if (std::ranges::find(values, value) != values.end()) throw Error(setting.key + "=" + text + ": " + value + " is given twice", "give each value of a sweep once");
    values.push_back(value);
    at = comma + 1;
  }
  return values;
}

// Settings that were typed without their section, and sections that only later versions have: what a nearest name would answer badly.
void check_keys(const std::vector<config::Setting>& settings) {
  const std::vector<std::string> keys = train::setting_keys();
  Violations violations;
  for (const config::Setting& setting : settings) {
    const std::string section = setting.key.substr(0, setting.key.find('.'));
    if (section != setting.key || std::ranges::find(keys, setting.key) != keys.end()) continue;
    std::vector<std::string> meant;
    std::ranges::copy_if(keys, std::back_inserter(meant), [&](const std::string& key) { return key.ends_with("." + setting.key); });
    if (!meant.empty()) violations.add(setting.where + ": '" + setting.key + "' is given without its section", "write " + join_or(meant));
  }
  violations.raise("the settings");
}

struct Variant {
  std::string name;  // "weight=0.05,lr=1e-4": the subfolder
  std::vector<config::Setting> overrides;
};

// Every combination of the swept settings' values.
std::vector<Variant> variants_of(const std::vector<config::Setting>& overrides) {
  std::vector<Variant> variants{{"", {}}};
  for (auto at = overrides.begin(); at != overrides.end(); ++at) {
    const config::Setting& setting = *at;
    if (std::any_of(at + 1, overrides.end(), [&](const auto& later) { return later.key == setting.key; })) continue;  // the last one holds
    const std::vector<std::string> values = values_of(setting);
    std::vector<Variant> next;
    for (const Variant& variant : variants) {
      for (const std::string& value : values.empty() ? std::vector<std::string>{""} : values) {
        Variant grown = variant;
        grown.overrides.push_back(values.empty() ? setting : config::Setting{setting.key, {{value}}, setting.where});
        if (!values.empty()) grown.name += (grown.name.empty() ? "" : ",") + setting.key.substr(setting.key.rfind('.') + 1) + "=" + value;
        next.push_back(grown);
      }
    }
    variants = next;
  }
  return variants;
}

train::ResolvedRecipe resolve(const std::vector<config::Setting>& recipe, const Variant& variant, std::int64_t world) {
  std::vector<config::Setting> settings = recipe;
  let_command_line_win(settings, variant.overrides);
  settings.insert(settings.end(), variant.overrides.begin(), variant.overrides.end());
  return train::resolve(settings, find_model, world);
}

// Every variant, before the first starts: a mistake in the last would cost hours. Error that lists what is wrong with which.
std::vector<train::ResolvedRecipe> resolve_all(const std::vector<config::Setting>& recipe, const std::vector<Variant>& variants, std::int64_t world) {
  std::vector<train::ResolvedRecipe> resolved;
  Violations violations;
  std::set<std::string> seen;  // what all variants share is said once
  for (const Variant& variant : variants) {
    try {
      resolved.push_back(resolve(recipe, variant, world));
      train::Recipe& own = resolved.back().recipe;
      own.output_dir = (fs::path(own.output_dir) / variant.name).string();
      if (!own.checkpoint.hf_save_path.empty()) own.checkpoint.hf_save_path = (fs::path(own.checkpoint.hf_save_path) / variant.name).string();
    } catch (const Error& error) {
      if (seen.insert(error.problem()).second) violations.add(variant.name + ": " + error.problem(), error.remedy());
    }
  }
  violations.raise("the sweep");
  return resolved;
}

void run_one(const train::ResolvedRecipe& asked, const TrainArguments& given, const dist::Mesh& mesh, Log& log) {
  const train::ResolvedRecipe resolved = train::as_resumed(asked, given.options.resume);
  if (mesh.leads()) log.set_level(resolved.recipe.log.level.value_or(log_level_of_environment()));
  for (const std::string& line : resolved.given) log.debug(line);
  if (!given.dry_run) return train::run(resolved, given.options, mesh, log);
  if (!mesh.leads()) return;
  for (const std::string& line : train::dry_run(resolved, given.options)) std::cout << line << "\n";
}

// One run of a sweep; what is wrong with it, for the others to go on. Nothing when it came to its end. An interrupt ends them all.
std::optional<Error> try_one(const train::ResolvedRecipe& resolved, const TrainArguments& given) {
  Log own;  // each run has its own log.txt
  try {
    run_one(resolved, given, dist::single_process_mesh(), own);
    return std::nullopt;
  } catch (const std::exception& failure) {
    if (auto error = user_error(failure)) return error;
    throw;
  }
}

// Error at the end when a run of the sweep failed.
void run_sweep(const std::vector<train::ResolvedRecipe>& resolved, const std::vector<Variant>& variants, const TrainArguments& given, Log& log) {
  std::vector<monitor::FailedRun> failed;
  Violations violations;
  for (std::size_t i = 0; i < resolved.size(); ++i) {
    const std::string& name = variants[i].name;
    log.info("sweep " + std::to_string(i + 1) + " of " + std::to_string(resolved.size()) + ": " + name);
    const auto error = try_one(resolved[i], given);
    if (!error) continue;
    log.warning(name + " failed: " + error->problem() + (i + 1 < resolved.size() ? "; going on with the others" : ""));
    failed.push_back({name, error->problem()});
    violations.add(name + ": " + error->problem(), error->remedy());
  }
  const fs::path folder = fs::path(resolved[0].recipe.output_dir).parent_path();
  if (!given.dry_run && fs::is_directory(folder)) {
    monitor::write_comparison(folder, failed);
    log.info("compared in " + (folder / "comparison.html").string());
  }
  violations.raise(std::to_string(failed.size()) + " of the sweep's " + std::to_string(resolved.size()) + " runs failed");
}

// The runs that the flags mean, resolved and checked: one, or those of a sweep.
struct Plan {
  std::vector<Variant> variants;
  std::vector<train::ResolvedRecipe> runs;
};

Plan plan_runs(TrainArguments given, const dist::Mesh& mesh) {
  std::vector<config::Setting> recipe;
  if (!given.config.empty()) recipe = config::load_recipe(config::find_recipe(given.config, recipe_folders()), recipe_folders());
  else if (!given.run.empty()) recipe = recipe_of_run(given.run);
  config::resolve_aliases(recipe, train::aliases());
  config::resolve_aliases(given.overrides, train::aliases());
  check_keys(recipe);
  check_keys(given.overrides);
  check_contradictions(given);
  if (given.disable_routing) given.overrides.push_back(config::parse_override("routing_supervision.weight=0"));
  Plan plan{variants_of(given.overrides), {}};
  const std::int64_t world = given.world_size.value_or(mesh.world->size());
  if (plan.variants.size() == 1) {
    plan.runs.push_back(resolve(recipe, plan.variants[0], world));
    return plan;
  }
  if (world > 1) throw Error("a sweep of " + std::to_string(plan.variants.size()) + " runs in " + std::to_string(world) + " processes", "give one value of each setting, or sweep in one process");
  for (Variant& variant : plan.variants) {
    for (config::Setting& setting : variant.overrides) setting.where = "sweep";  // what one variant makes idle (weight=0, say) is no mistake
  }
  plan.runs = resolve_all(recipe, plan.variants, world);
  return plan;
}

}  // namespace

void check_train_arguments(const Arguments& arguments) { parse(arguments); }

int run_train(const Arguments& arguments, Log& log) {
  if (arguments.empty()) {
    throw Error("nothing to train is given", "sluice train --config RECIPE --data-file FILE --output-dir DIR; `sluice recipes list` shows recipes, `sluice train --help` every flag");
  }
  if (std::ranges::find(arguments, "--help") != arguments.end()) {
    print_help();
    return 0;
  }
  const dist::Rendezvous here = dist::find_rendezvous();
  dist::Mesh mesh = meet(here);
  TrainArguments given = together(mesh, [&] { return parse(arguments); });
  if (!given.dry_run) outlive_readers();  // metrics.jsonl and log.txt have what the pipe would have shown
  if (!mesh.leads()) log.set_level(LogLevel::kError);
  if (given.config.empty()) given.run = run_of(given.options.resume);
  if (!given.run.empty()) given.notes.push_back("--resume without --config: the recipe is " + (given.run / "config.yaml").string());
  for (const std::string& note : given.notes) log.note(note);
  if (here.attempt > 0 && given.options.resume.empty()) given.options.resume = "latest";  // the launcher started the ranks again
  const Plan plan = together(mesh, [&] { return plan_runs(given, mesh); });
  if (mesh.world->size() > 1) dist::lay_out(mesh, parallel::grid_of(plan.runs[0].recipe.parallelism, mesh.world->size()));
  if (plan.runs.size() == 1) run_one(plan.runs[0], given, mesh, log);
  else run_sweep(plan.runs, plan.variants, given, log);
  return 0;
}

}  // namespace sluice::cli
