// What metrics.jsonl says of a step.
#pragma once
#include <optional>

#include "sluice/monitor/metrics.h"
#include "sluice/train/worker.h"

namespace sluice::train {

// Without expert load and validation.
monitor::StepMetrics figures_of(const TakenStep& taken, const Recipe& recipe, double seconds);

// Nothing for a dense model.
std::optional<monitor::ExpertShares> expert_load(const TakenStep& taken);

}  // namespace sluice::train
