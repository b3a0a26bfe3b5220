// Which part of each parameter a rank holds under a layout: from the tensor table alone, without communication.
#pragma once
#include "sluice/dist/grid.h"
#include "sluice/models/tensor_table.h"

namespace sluice::models {

// `spec`'s parameter as the rank at `place` holds it: its shape, and the pieces that it has of the whole. Sizes divide as the rules of a layout
// say (parallel/layout.h), else it is a Bug.
nn::ParameterSpec part_of(const TensorSpec& spec, const dist::GridSizes& sizes, const dist::Place& place);

// The parameter where another rank holds it: no elements.
nn::ParameterSpec elsewhere(nn::ParameterSpec parameter);

}  // namespace sluice::models
