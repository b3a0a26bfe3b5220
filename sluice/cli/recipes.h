// sluice recipes.
#pragma once
#include "sluice/cli/command.h"

namespace sluice::cli {

int run_recipes(const Arguments& arguments, Log& log);

}  // namespace sluice::cli
