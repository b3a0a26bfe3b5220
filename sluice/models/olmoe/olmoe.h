// OLMoE: attention whose queries and keys are normed over their full width, and a top-k mixture in every layer.
#pragma once
#include "sluice/models/registry.h"

namespace sluice::models {

Architecture olmoe();

}  // namespace sluice::models
