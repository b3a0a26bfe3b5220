// sluice logits: a model's logits for given tokens, as safetensors.
#pragma once
#include "sluice/cli/command.h"

namespace sluice::cli {

int run_logits(const Arguments& arguments, Log& log);

}  // namespace sluice::cli
