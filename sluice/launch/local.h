// Ranks as processes of this machine.
#pragma once
#include <string>
#include <vector>

#include "sluice/base/log.h"
#include "sluice/launch/command.h"
#include "sluice/launch/config.h"

namespace sluice::launch {

// Starts `command` as this machine's ranks and waits for all of them. SIGINT, SIGTERM and SIGHUP are passed on. When a rank fails, the others
// get SIGTERM, and SIGKILL 30 s later; then all are started again, `config.max_restarts` times, but not after a mistake that another start
// would meet again (exit status 2 of one machine's run), nor after an interrupt (130, or a signal that was passed on). No process is left when
// this returns, throws or is killed. Returns 0, or the exit status of the first rank that failed.
int run_local(const LaunchConfig& config, const Command& command, Log& log);

// What run_local would start: a shell line a rank.
std::vector<std::string> describe_local(const LaunchConfig& config, const Command& command);

}  // namespace sluice::launch
