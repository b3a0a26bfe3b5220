// The report's table of what fine-tuning changed.
#pragma once
#include <string>

#include "sluice/monitor/evaluation.h"

namespace sluice::monitor {

// Figures that both evaluations have, side by side; empty where they share none.
std::string before_after_table(const Evaluation& before, const Evaluation& after);

}  // namespace sluice::monitor
