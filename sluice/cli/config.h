// sluice config: recipes from other systems' configuration files.
#pragma once
#include "sluice/cli/command.h"

namespace sluice::cli {

int run_config(const Arguments& arguments, Log& log);

}  // namespace sluice::cli
