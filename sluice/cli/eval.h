// sluice eval: loss, perplexity, exact match and routing on rows the model was not trained on.
#pragma once
#include "sluice/cli/command.h"

namespace sluice::cli {

int run_eval(const Arguments& arguments, Log& log);

}  // namespace sluice::cli
