// `sluice merge`: LoRA adapters into the base weights.
#pragma once
#include "sluice/cli/command.h"

namespace sluice::cli {

int run_merge(const Arguments& arguments, Log& log);

}  // namespace sluice::cli
