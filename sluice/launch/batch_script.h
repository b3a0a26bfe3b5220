// A command's ranks as a batch script of SLURM.
#pragma once
#include <string>

#include "sluice/launch/command.h"
#include "sluice/launch/config.h"

namespace sluice::launch {

// The script for sbatch, whole. `config` is checked. SLURM's own variables tell the ranks who they are and where they meet. SIGTERM comes two
// minutes before the time limit, so that train saves. A start after the first, of a requeued job or of the next job of the array, goes on from
// the latest checkpoint (launch/command.h, `restarted`). Status: that of srun.
std::string batch_script(const LaunchConfig& config, const Command& command);

}  // namespace sluice::launch
