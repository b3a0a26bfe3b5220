// GPT-NeoX and Pythia: layer norms, partly rotated heads, attention and feed-forward side by side or one after the other.
#pragma once
#include "sluice/models/registry.h"

namespace sluice::models {

Architecture gpt_neox();

}  // namespace sluice::models
