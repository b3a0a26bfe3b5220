// Dense decoders with grouped-query attention and gated feed-forward layers: Llama 1 to 3.3, Mistral, Qwen2, Qwen2.5 and Qwen3.
#pragma once
#include "sluice/models/registry.h"

namespace sluice::models {

Architecture llama();
Architecture mistral();
Architecture qwen2();
Architecture qwen3();

}  // namespace sluice::models
