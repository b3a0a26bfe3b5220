// Flat conversions between float32 and bf16, on all threads.
#pragma once
#include <cstdint>

#include "sluice/kernels/cpu/bf16.h"
#include "sluice/kernels/cpu/workspace.h"

namespace sluice::kernels::cpu {

void round_to_bf16(std::int64_t size, const float* from, Bf16* to, Workspace& workspace);
void widen_to_float(std::int64_t size, const Bf16* from, float* to, Workspace& workspace);

}  // namespace sluice::kernels::cpu
