// DeepSeek-V2 and V3: latent attention, and mixtures of many small experts beside shared ones.
#pragma once
#include "sluice/models/registry.h"

namespace sluice::models {

Architecture deepseek_v2();
Architecture deepseek_v3();

}  // namespace sluice::models
