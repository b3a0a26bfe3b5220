// How a model lies over the processes that run it forwards: each holds a part, and together they hold it once.
#pragma once
#include <cstdint>

#include "sluice/models/model.h"
#include "sluice/parallel/layout.h"

namespace sluice::generate {

// `asked`, with what it leaves open: layers that do not divide go to the first stages, and where no expert_tensor_parallel_size is given, ranks of a
// stage that expert_model_parallel_size leaves over split each expert, at most as many as split the other matrices. Error that lists, in the words of
// flags, what does not go with the model or with the number of processes.
parallel::ParallelismConfig layout_of(const models::ModelConfig& model, const parallel::ParallelismConfig& asked, std::int64_t processes);

}  // namespace sluice::generate
