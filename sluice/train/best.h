// Which checkpoint `best` names after a resume.
#pragma once
#include <string>

#include "sluice/train/state.h"

namespace sluice::train {

// Whether the step folder is one of the run's own.
bool is_of_run(const fs::path& step_folder, const fs::path& run);

// Makes `latest` and `best` of `run` name what the run has when it goes on from `step_folder`, whose Progress is `progress`: that step is the
// newest, what a step back undid is no longer the best, and a best that is not among the run's checkpoints (it was removed, or the step is
// another run's) is forgotten, in `progress` too, so that the next validation gives the best of this run. Returns a note where one was.
std::string settle_pointers(const fs::path& run, const fs::path& step_folder, Progress& progress);

}  // namespace sluice::train
