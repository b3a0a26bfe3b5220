// Mixtral: grouped-query attention and a top-k mixture of SwiGLU experts in every layer.
#pragma once
#include "sluice/models/registry.h"

namespace sluice::models {

Architecture mixtral();

}  // namespace sluice::models
