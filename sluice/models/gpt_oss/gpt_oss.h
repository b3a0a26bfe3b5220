// gpt-oss: attention with sinks, in a sliding window in every other layer, and mixtures of experts with biases.
#pragma once
#include "sluice/models/registry.h"

namespace sluice::models {

Architecture gpt_oss();

}  // namespace sluice::models
