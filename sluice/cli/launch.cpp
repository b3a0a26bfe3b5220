#include "sluice/cli/launch.h"

#include <algorithm>
#include <array>
#include <iostream>
#include <string_view>

#include "sluice/base/error.h"
#include "sluice/base/interrupt.h"
#include "sluice/base/nearest.h"
#include "sluice/cli/arguments.h"
#include "sluice/cli/train.h"
#include "sluice/config/fields.h"
#include "sluice/config/recipe.h"
#include "sluice/launch/arguments.h"
#include "sluice/launch/batch_script.h"
#include "sluice/launch/command.h"
#include "sluice/launch/config.h"
#include "sluice/launch/local.h"
#include "sluice/launch/submit.h"
#include "sluice/launch/tool.h"

namespace sluice::cli {
namespace {

constexpr int kUserError = 2;

constexpr const char* kUsage =
    "usage: sluice launch [--flag VALUE ...] [COMMAND] [the command's arguments]\n\n"
    "Starts the processes of a command, train unless another is named, on this machine or as a job of SLURM:\n"
    "  sluice launch --nproc-per-node 4 --config RECIPE --output-dir DIR\n"
    "  sluice launch --slurm --nodes 2 --ntasks-per-node 4 --time 04:00:00 --requeue train --config RECIPE --output-dir DIR\n\n"
    "  --dry-run              check everything, print what would be started or submitted, start nothing\n"
    "  --skip-recipe-check    submit without `sluice train --dry-run` here: where the job's machines have other paths, or more memory\n\n"
    "flags, each also a setting of a recipe's section `launch`, with defaults ('_' and '-' are the same):\n";

void require_command(const Arguments& command) {
  if (command.empty()) throw Error("nothing to launch is given", "sluice launch --nproc-per-node N --config RECIPE --output-dir DIR; `sluice launch --help` lists the flags");
  std::vector<std::string> names;
  for (const Command& known : commands()) names.push_back(known.name);
  if (command[0] == "launch" || std::ranges::find(names, command[0]) == names.end()) {
    throw Error("'" + command[0] + "' is no command to launch", did_you_mean(command[0], names, "'") + "flags stand before the command's name, its arguments behind it");
  }
}

// The launch settings among the command's own: those of train's recipe, then its overrides.
std::vector<config::Setting> settings_of(const Arguments& command) {
  std::vector<config::Setting> settings, overrides;
  if (command[0] != "train") return settings;
  const Arguments words = normalised(command);
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    const auto equals = word.find('=');
    const std::string flag = word.substr(0, equals);
    if (word.starts_with("launch.")) overrides.push_back(config::parse_override(word));
    if (flag != "--config" && flag != "--config-file") continue;
    if (equals == std::string::npos && i + 1 == words.size()) continue;  // train says what is missing
    const std::string recipe = equals == std::string::npos ? command[i + 1] : word.substr(equals + 1);
    settings = config::load_recipe(config::find_recipe(recipe, recipe_folders()), recipe_folders());
  }
  std::erase_if(settings, [](const config::Setting& setting) { return !setting.key.starts_with("launch."); });
  settings.insert(settings.end(), overrides.begin(), overrides.end());
  return settings;
}

launch::LaunchConfig resolve(const launch::Arguments& given) {
  std::vector<config::Setting> settings = settings_of(given.command);
  settings.insert(settings.end(), given.settings.begin(), given.settings.end());
  config::resolve_aliases(settings, launch::aliases());
  launch::LaunchConfig config;
  Violations violations;
  config::apply(config, settings, violations, "launch");
  launch::check(config, given.settings, violations);
  static constexpr std::array<std::string_view, 5> kOfMany{"train", "generate", "logits", "eval", "convert"};
  if (config.world() > 1 && std::ranges::find(kOfMany, given.command[0]) == kOfMany.end()) {
    violations.add("`sluice " + given.command[0] + "` in " + std::to_string(config.world()) + " processes: each would do all of the work",
                   "launch it as one process; train, generate, logits, eval and convert are the commands for many");
  }
  if (config.starts_again() && launch::has_flag({"", given.command}, "--overwrite")) {
    violations.add("--overwrite with a run that may be started again: the next start could not tell the old run from its own", "remove the old run first, or launch without --max-restarts and --requeue");
  }
  violations.raise("the settings of the launch");
  return config;
}

fs::path own_path() { return fs::read_symlink("/proc/self/exe"); }

// Whether `sluice train --dry-run`, as one process of this machine that checks for all, finds nothing wrong; it says itself what is.
bool recipe_is_good(const launch::Arguments& given, const launch::LaunchConfig& config, Log& log) {
  if (given.command[0] != "train" || given.recipe_check == launch::RecipeCheck::kSkip) return true;
  if (config.slurm && !config.container_image.empty()) {
    log.note("the recipe is not checked here: its paths are those of the container");
    return true;
  }
  launch::Command check{own_path(), given.command};
  check.arguments.insert(check.arguments.end(), {"--dry-run", "--world-size", std::to_string(config.world())});
  if (launch::run_alone(check.words()) == 0) return true;
  if (config.slurm) log.note("nothing is submitted; where the job's machines have other paths or more memory than this one, add --skip-recipe-check");
  return false;
}

int launch_by_slurm(const launch::Arguments& given, const launch::LaunchConfig& config, Log& log) {
  const std::string program = !config.program.empty() ? config.program : config.container_image.empty() ? own_path().string() : "sluice";
  const std::string script = launch::batch_script(config, {program, given.command});
  launch::check_syntax(script);
  if (!recipe_is_good(given, config, log)) return kUserError;
  if (!given.dry_run) {
    if (!config.log_dir.empty()) fs::create_directories(config.log_dir);
    std::cout << launch::submit(script) << "\n";
    return 0;
  }
  const auto slurm = launch::test_submission(script);
  log.info(slurm ? *slurm : "SLURM has not seen this script: sbatch is not installed here");
  log.info("nothing was submitted (--dry-run)");
  std::cout << script;
  return 0;
}

int launch_here(const launch::Arguments& given, const launch::LaunchConfig& config, Log& log) {
  const launch::Command command{own_path(), given.command};
  if (!given.dry_run) {
    if (given.recipe_check == launch::RecipeCheck::kSkip) throw Error("--skip-recipe-check has no effect without --slurm or --dry-run", "leave it out: the ranks check the recipe themselves");
    outlive_readers();
    return launch::run_local(config, command, log);
  }
  if (!recipe_is_good(given, config, log)) return kUserError;
  for (const std::string& line : launch::describe_local(config, command)) std::cout << line << "\n";
  return 0;
}

}  // namespace

int run_launch(const Arguments& arguments, Log& log) {
  const launch::Arguments given = launch::parse_arguments(arguments);
  if (given.help) {
    std::cout << kUsage << launch::describe_flags();
    return 0;
  }
  require_command(given.command);
  if (given.command[0] == "train") check_train_arguments({given.command.begin() + 1, given.command.end()});
  const launch::LaunchConfig config = resolve(given);
  return config.slurm ? launch_by_slurm(given, config, log) : launch_here(given, config, log);
}

}  // namespace sluice::cli
