// `sluice convert`: between Hugging Face's, our native and Megatron's layouts.
#pragma once
#include "sluice/cli/command.h"

namespace sluice::cli {

int run_convert(const Arguments& arguments, Log& log);

}  // namespace sluice::cli
