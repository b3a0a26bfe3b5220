// Qwen2-MoE and Qwen3-MoE: grouped-query attention and, in all or some layers, a top-k mixture; Qwen2-MoE adds an expert that every token
// meets, Qwen3-MoE norms on each head's query and key.
#pragma once
#include "sluice/models/registry.h"

namespace sluice::models {

Architecture qwen2_moe();
Architecture qwen3_moe();

}  // namespace sluice::models
