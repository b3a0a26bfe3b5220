// What each rank of a layout holds of a model.
#pragma once
#include <vector>

#include "sluice/dist/grid.h"
#include "sluice/models/model.h"
#include "sluice/parallel/pipeline.h"

namespace sluice::parallel {

// How the model's layers lie over the ranks of a pipeline.
Stages stages_of(const models::ModelConfig& model, const ParallelismConfig& config);

// The parameters of `table`, in its order, as the rank at `place` holds them; those of other stages without elements.
std::vector<nn::ParameterSpec> held_parameters(const std::vector<models::TensorSpec>& table, const Stages& stages, const dist::GridSizes& sizes, const dist::Place& place);

}  // namespace sluice::parallel
