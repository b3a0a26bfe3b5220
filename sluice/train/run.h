// A whole training run: from a resolved recipe to a run folder with checkpoints, metrics, summary and report.
#pragma once
#include <string>

#include "sluice/base/log.h"
#include "sluice/dist/mesh.h"
#include "sluice/train/recipe.h"

namespace sluice::train {

enum class Existing { kRefuse, kOverwrite };

struct RunOptions {
  std::string resume;  // empty, "latest", a run folder or a step folder
  Existing existing = Existing::kRefuse;  // what to do with a run that is already in output_dir, without `resume`
};

// Trains to the end of the recipe, together with the other ranks of `mesh`: the leader writes the run folder. Throws Interrupted after saving when a signal asked to stop; Error, with the last good state saved, when
// the loss is no number any more.
void run(const ResolvedRecipe& resolved, const RunOptions& options, const dist::Mesh& mesh, Log& log);

// Every check of a real start (start.h), then what would run, in lines for a person. Starts and writes nothing. Error, as run() would give.
std::vector<std::string> dry_run(const ResolvedRecipe& resolved, const RunOptions& options);

}  // namespace sluice::train
