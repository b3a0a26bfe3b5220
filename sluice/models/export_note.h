// What whoever reads an exported folder must know beside its config.json.
#pragma once
#include <string>

#include "sluice/models/model.h"

namespace sluice::models {

// A sentence on versions of transformers that read an export of this model wrongly; empty for most.
std::string export_note(const ModelConfig& config);

}  // namespace sluice::models
