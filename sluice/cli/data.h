// `sluice data`: labels, balances, splits and describes questions; trains classifiers and tokenizers.
#pragma once
#include "sluice/cli/command.h"

namespace sluice::cli {

// `arguments` are the words after "data", first the name of what to do.
int run_data(const Arguments& arguments, Log& log);

}  // namespace sluice::cli
