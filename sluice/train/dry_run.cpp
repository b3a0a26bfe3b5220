#include "sluice/monitor/numbers.h"
#include "sluice/train/run.h"
#include "sluice/train/start.h"

namespace sluice::train {

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
      "memory for weights, gradients and optimizer: " + format_bytes(start.footprint.training_bytes) + ", activations beside it; this machine has " + format_bytes(memory_bytes()),
      "checkpoints: " + format_bytes(start.footprint.checkpoint_bytes) + " each, " + std::to_string(start.disk.checkpoints) + " more at once; " +
          format_bytes(start.disk.available_bytes) + " free in " + recipe.output_dir,
  };
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
