// sluice train: recipe, flags and overrides; one run, or a sweep over several values of a setting.
#pragma once
#include "sluice/cli/command.h"

namespace sluice::cli {

// Error where these are no arguments of train, before a recipe or a file is looked at.
void check_train_arguments(const Arguments& arguments);

int run_train(const Arguments& arguments, Log& log);

}  // namespace sluice::cli
