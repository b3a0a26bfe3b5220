// Whether the processes that hold the same parameters hold the same numbers: memory and processors that fail silently are found so.
#pragma once
#include <string>

#include "sluice/nn/parameter.h"
#include "sluice/parallel/data.h"

namespace sluice::train {

// Who has other values than most of those that hold the same parameters, and of which: "rank 3 (host h): layers.0, layers.1". Of two that differ it
// names the one that is not the lowest. Empty where all agree. All ranks come here together, between steps, and get the same; reads all values once.
// Under ZeRO 3 trained parameters have one holder each, and are left out.
std::string find_disagreement(const parallel::Holders& holders, const nn::ParameterStore& store);

}  // namespace sluice::train
