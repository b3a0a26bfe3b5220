// What the rules of a layout (layout.h) ask of a model.
#pragma once
#include "sluice/models/model.h"
#include "sluice/parallel/layout.h"

namespace sluice::parallel {

// From the tensor table.
ModelSizes sizes_of(const models::ModelConfig& model);

}  // namespace sluice::parallel
