#include "sluice/monitor/numbers.h"
#include "sluice/train/rank_memory.h"
#include "sluice/train/run.h"
#include "sluice/train/start.h"

namespace sluice::train {
namespace {

// One line for the ranks of each pipeline stage, which have equally much, and one for the machine.
std::vector<std::string> memory_lines(const ResolvedRecipe& resolved, std::int64_t tokens_per_row) {
  const dist::GridSizes grid = parallel::grid_of(resolved.recipe.parallelism, resolved.recipe.processes);
  std::vector<std::string> out;
  for (std::int64_t stage = 0; stage < grid.pipeline; ++stage) {
    const RankMemory all = rank_memory(resolved, stage * grid.stage(), tokens_per_row);
    const std::uint64_t total = all.total(), here = in_memory(all, resolved.recipe.memory).total();
    const std::string who = grid.world() == 1 ? "memory: " : grid.pipeline == 1 ? "memory of each rank: " : "memory of each rank of pipeline stage " + std::to_string(stage) + ": ";
    out.push_back(who + describe(all) + "; together " + monitor::format_bytes(total) + (here < total ? ", of which " + monitor::format_bytes(total - here) + " on disk" : ""));
  }
  out.back() += "; this machine has " + monitor::format_bytes(memory_bytes());
  return out;
}

}  // namespace

std::vector<std::string> dry_run(const ResolvedRecipe& resolved, const RunOptions& options) {
  using monitor::format_bytes;
  const Recipe& recipe = resolved.recipe;
  const Start start = check_start(resolved, options);
  const models::Cost cost = resolved.model_config->cost(start.data.sets.train->counts().longest_row);
  std::vector<std::string> out{
      "model: " + recipe.model.architecture + ", " + std::to_string(cost.parameters) + " parameters (" + std::to_string(cost.active_parameters) + " active per token), " +
          std::to_string(start.footprint.trained) + " trained",
      "data: " + data::describe(start.data.sets.train->counts(), data::Categories(recipe.routing_supervision.categories)),
      "steps: " + std::to_string(start.data.total_steps) + " of " + std::to_string(recipe.global_batch_size()) + " rows (" + std::to_string(recipe.accumulation_steps()) +
          " micro-batches of " + std::to_string(recipe.train.micro_batch_size) + ")",
      "checkpoints: " + format_bytes(start.footprint.checkpoint_bytes) + " each, " + std::to_string(start.disk.checkpoints) + " more at once; " +
          format_bytes(start.disk.available_bytes) + " free in " + recipe.output_dir,
  };
  const std::vector<std::string> memory = memory_lines(resolved, start.data.sets.train->counts().longest_row);
  out.insert(out.begin() + 3, memory.begin(), memory.end());
  if (!recipe.model.load.empty()) out.push_back("weights: " + recipe.model.load + ", all files readable");
  if (start.resume_from) out.push_back("goes on from " + start.resume_from->string());
  for (const auto* notes : {&resolved.notes, &start.notes}) {
    for (const std::string& note : *notes) out.push_back("note: " + note);
  }
  for (const std::string& warning : start.warnings) out.push_back("warning: " + warning);
  out.push_back("nothing was started (--dry-run)");
  return out;
}

}  // namespace sluice::train
