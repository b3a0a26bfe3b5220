// sluice monitor.
#pragma once
#include "sluice/cli/command.h"

namespace sluice::cli {

int run_monitor(const Arguments& arguments, Log& log);

}  // namespace sluice::cli
