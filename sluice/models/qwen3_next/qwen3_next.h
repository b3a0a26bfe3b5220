// Qwen3-Next: gated delta nets in most layers, gated attention in the others, a mixture with a shared expert in each, and multi-token
// prediction where the checkpoint has it.
#pragma once
#include "sluice/models/registry.h"

namespace sluice::models {

Architecture qwen3_next();

}  // namespace sluice::models
