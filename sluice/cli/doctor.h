// sluice doctor.
#pragma once
#include "sluice/cli/command.h"

namespace sluice::cli {

int run_doctor(const Arguments& arguments, Log& log);

}  // namespace sluice::cli
