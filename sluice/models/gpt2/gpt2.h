// GPT-2: learnt positions, layer norms, biases everywhere, a plain feed-forward.
#pragma once
#include "sluice/models/registry.h"

namespace sluice::models {

Architecture gpt2();

}  // namespace sluice::models
