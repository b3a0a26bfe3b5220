// Data parallelism: ranks hold the same weights, see other rows, and add their gradients up.
#pragma once
#include "sluice/dist/group.h"
#include "sluice/nn/parameter.h"

namespace sluice::parallel {

// Replaces the store's gradients by their sum over `replicas`, in buckets of 50 MB that are under way at the same time.
void sum_gradients(nn::ParameterStore& store, const dist::Group& replicas);

}  // namespace sluice::parallel
