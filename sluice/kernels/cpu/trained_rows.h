// Which rows of head_loss have a label. Apart from the kernel, because it throws: no string may be compiled for AVX-512 alone.
#pragma once
#include <cstdint>

#include "sluice/kernels/cpu/head_loss.h"

namespace sluice::kernels::cpu {

// Writes the indices of the rows whose label is not kIgnoredLabel, in order, to `rows` [input.rows] and returns how many there are.
// Error when a label is neither kIgnoredLabel nor in [0, vocab).
std::int64_t find_trained_rows(const HeadLossInput& input, std::int64_t* rows);

}  // namespace sluice::kernels::cpu
