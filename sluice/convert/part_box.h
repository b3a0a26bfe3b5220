// Where a HF tensor lies inside the parameter that it is a part of.
#pragma once
#include <vector>

#include "sluice/checkpoint/box.h"
#include "sluice/models/tensor_table.h"

namespace sluice::convert {

// A part is a run of whole rows of its parameter: [ffn, hidden] of [experts, 2 * ffn, hidden], say, or all of it.
checkpoint::Box part_box(const models::TensorSpec& spec, const models::HfPart& part);

// A part's shape in our layout: the last two dims swapped back where HF has them the other way round; the parameter's own where the part is
// all of it under other dims ([channels, 1, kernel] for [channels, kernel]).
std::vector<std::int64_t> our_shape(const models::TensorSpec& spec, const models::HfPart& part);

}  // namespace sluice::convert
