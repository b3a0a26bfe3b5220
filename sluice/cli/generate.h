// sluice generate: continues prompts, from text or from tokens.
#pragma once
#include "sluice/cli/command.h"

namespace sluice::cli {

int run_generate(const Arguments& arguments, Log& log);

}  // namespace sluice::cli
