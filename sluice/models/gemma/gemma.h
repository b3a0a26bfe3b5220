// Gemma and Gemma 2.
#pragma once
#include "sluice/models/registry.h"

namespace sluice::models {

Architecture gemma();
Architecture gemma2();

}  // namespace sluice::models
