// sluice bench.
#pragma once
#include "sluice/cli/command.h"

namespace sluice::cli {

int run_bench(const Arguments& arguments, Log& log);

}  // namespace sluice::cli
