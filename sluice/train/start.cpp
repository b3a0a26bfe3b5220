#include "sluice/train/start.h"

#include <unistd.h>

#include "sluice/base/error.h"
#include "sluice/checkpoint/step_folder.h"
#include "sluice/config/fields.h"
#include "sluice/monitor/run_info.h"
#include "sluice/train/best.h"
#include "sluice/train/parameters.h"

namespace sluice::train {
namespace {

bool has_run(const fs::path& folder) {
  return fs::exists(folder / "metrics.jsonl") || fs::exists(folder / "run.json") || !checkpoint::list_steps(folder).empty();
}

// Whether an earlier run in `output` is in the way; Error where it must stay.
Folder look_at_folder(const fs::path& output, const Recipe& recipe, const RunOptions& options, std::vector<std::string>& warnings) {
  if (!has_run(output)) return Folder::kFresh;
  std::optional<monitor::RunInfo> info;
  try {
    info = monitor::read_run_info(output);
  } catch (const Error& error) {
    warnings.push_back(error.problem() + "; it is written again");
  }
  if (info && info->state == monitor::RunState::kRunning && info->pid != getpid() && monitor::alive(*info) == monitor::Alive::kYes) {
    throw Error(output.string() + " holds a run that is still going on (process " + std::to_string(info->pid) + ")", "wait for it, stop it, or give another --output-dir");
  }
  if (!options.resume.empty()) return Folder::kFresh;
  if (options.existing == Existing::kRefuse) {
    throw Error(output.string() + " already holds a run", "go on with it: --resume latest; replace it: --overwrite; or give another --output-dir");
  }
  const fs::path load = fs::weakly_canonical(recipe.model.load), inside = load.lexically_relative(fs::weakly_canonical(output));
  if (!recipe.model.load.empty() && !inside.empty() && *inside.begin() != "..") {
    throw Error("--overwrite would remove " + recipe.model.load + ", which model.load starts from", "give another --output-dir, or copy that model elsewhere first");
  }
  return Folder::kReplaces;
}

// Adds a folder (`what`: "the run folder") that cannot be made or written.
void check_writable(const fs::path& output, const std::string& what, const std::string& remedy, Violations& violations) {
  fs::path existing = fs::absolute(output).lexically_normal();
  std::error_code failed;
  while (!fs::exists(existing, failed) && existing.has_relative_path()) existing = existing.parent_path();
  if (!fs::is_directory(existing, failed)) {
    violations.add("cannot make " + what + " " + output.string() + ": " + existing.string() + " is not a folder", remedy);
  } else if (access(existing.c_str(), W_OK | X_OK) != 0) {
    violations.add("cannot write " + what + " " + output.string() + ": no permission to write in " + existing.string(), remedy);
  }
}

// Adds a checkpoint.hf_save_path that something else lies in, which the export would mix with or replace.
void check_export_folder(const Recipe& recipe, const RunOptions& options, Violations& violations) {
  if (!recipe.checkpoint.export_hf || recipe.checkpoint.hf_save_path.empty()) return;
  const fs::path folder = recipe.checkpoint.hf_save_path;
  const char* const remedy = "give another checkpoint.hf_save_path, or leave it out: the export is then in the run folder";
  check_writable(folder, "checkpoint.hf_save_path", remedy, violations);
  std::error_code failed;
  if (!fs::is_directory(folder, failed) || fs::is_empty(folder, failed)) return;
  const bool replaces_an_export = fs::exists(folder / "config.json", failed) && (!options.resume.empty() || options.existing == Existing::kOverwrite);
  const bool is_base = !recipe.model.load.empty() && fs::equivalent(folder, recipe.model.load, failed);
  if (is_base) violations.add("checkpoint.hf_save_path = " + folder.string() + " is model.load, which the export would replace", remedy);
  else if (!replaces_an_export) violations.add("checkpoint.hf_save_path = " + folder.string() + " is not empty", remedy);
}

// What a schedule and a length of training make of each other that may not be meant.
std::vector<std::string> schedule_notes(const optim::OptimizerConfig& config, std::int64_t total_steps) {
  const optim::ScheduleShape shape = optim::schedule_of(config, total_steps);
  const std::string total = std::to_string(total_steps), warmup = std::to_string(shape.warmup_steps);
  if (shape.warmup_steps > total_steps) {
    return {"optimizer.warmup_iters = " + warmup + " is more than the run's " + total + " steps: the learning rate rises to the end and never reaches " + config::format(shape.peak)};
  }
  if (shape.warmup_steps == total_steps && total_steps > 1) return {"all " + total + " steps are warm-up: the learning rate rises to the end"};
  if (shape.schedule != optim::Schedule::kWsd) return {};
  const std::int64_t decay = optim::decay_steps(shape);
  if (shape.warmup_steps + decay <= total_steps) return {};
  return {"schedule wsd has no stable part: of the run's " + total + " steps " + warmup + " warm up and " + std::to_string(decay) +
          " decay, which overlap; lower optimizer.warmup_iters or optimizer.decay_fraction, or train longer"};
}

// Runs `check` and takes what it finds wrong over; nothing where it threw.
template <class Check>
auto gathered(Violations& violations, const Check& check) -> std::optional<decltype(check())> {
  try {
    return check();
  } catch (const Error& error) {
    violations.add(error);
    return std::nullopt;
  }
}

}  // namespace

Start check_start(const ResolvedRecipe& resolved, const RunOptions& options, const checkpoint::FindFault& find_fault) {
  const Recipe& recipe = resolved.recipe;
  const fs::path output = recipe.output_dir;
  Start start;
  Violations violations;
  const bool known = check_copies(resolved, violations) == Copies::kFit && check_adapters(resolved, violations);  // what is trained
  if (known) {
    check_freeze(resolved, violations);
    start.footprint = footprint(resolved);
    check_memory(start.footprint, recipe, violations);
  }
  check_writable(output, "the run folder", "give another --output-dir, or make that folder yours to write", violations);
  check_export_folder(recipe, options, violations);
  start.folder = gathered(violations, [&] { return look_at_folder(output, recipe, options, start.warnings); }).value_or(Folder::kFresh);
  auto data = gathered(violations, [&] { return open_data(resolved); });

  std::int64_t done = 0;
  const auto resume = options.resume.empty() ? std::nullopt : gathered(violations, [&] { return find_resume(options.resume, output, find_fault); });
  if (resume && *resume) {
    start.resume_from = (*resume)->folder;
    if (!(*resume)->warning.empty()) start.warnings.push_back((*resume)->warning);
    if (has_run(output) && !is_of_run(*start.resume_from, output)) {
      violations.add(output.string() + " holds a run already, and --resume " + options.resume + " is of another one", "give another --output-dir; or go on with the run that is there: --resume latest");
    }
    gathered(violations, [&] {
      done = read_progress(*start.resume_from).step;
      if (known) check_resume(*start.resume_from, resolved, data ? &*data : nullptr, violations);
      return true;
    });
  } else if (resume) {
    start.notes.push_back("--resume latest: " + output.string() + " has no checkpoint yet, starting from the beginning");
  }
  if (data && known) {
    const auto old = start.folder == Folder::kReplaces ? OldCheckpoints::kAreReplaced : OldCheckpoints::kStay;
    start.disk = disk_need(start.footprint, recipe, old, done, data->total_steps);
    check_disk(start.disk, start.footprint, recipe, violations);
    for (const std::string& note : schedule_notes(recipe.optimizer, data->total_steps)) start.notes.push_back(note);
  }
  violations.raise("the run cannot start");
  start.data = std::move(*data);
  return start;
}

}  // namespace sluice::train
