// sluice train: recipe, flags and overrides; one run, or a sweep over several values of a setting.
#pragma once
#include "sluice/cli/command.h"

namespace sluice::cli {

int run_train(const Arguments& arguments, Log& log);

}  // namespace sluice::cli
