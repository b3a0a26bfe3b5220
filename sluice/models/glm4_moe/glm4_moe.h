// GLM-4.5: grouped-query attention, and DeepSeek-V3's mixtures.
#pragma once
#include "sluice/models/registry.h"

namespace sluice::models {

Architecture glm4_moe();

}  // namespace sluice::models
