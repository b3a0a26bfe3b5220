// `sluice data preview`: what a model would be trained on.
#pragma once
#include "sluice/cli/command.h"

namespace sluice::cli {

int run_preview(const Arguments& arguments, Log& log);

}  // namespace sluice::cli
