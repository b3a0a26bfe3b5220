// `sluice launch`: starts the processes of a run, here or through SLURM.
#pragma once
#include "sluice/cli/command.h"

namespace sluice::cli {

int run_launch(const Arguments& arguments, Log& log);

}  // namespace sluice::cli
