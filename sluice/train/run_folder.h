// The run folder as a run begins in it.
#pragma once
#include "sluice/base/file.h"

namespace sluice::train {

void make_run_folder(const fs::path& output);  // Error when it cannot be made
// Removes what an earlier run has left in it; what is not a run's stays.
void clear_run_folder(const fs::path& output);

}  // namespace sluice::train
