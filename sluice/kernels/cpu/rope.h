// Rotary position embedding (Su et al., arXiv:2104.09864) on heads in place, with the halves paired as HF pairs them (x[j], x[j +
// rotary/2]).
#pragma once
#include <cstdint>

#include "sluice/kernels/cpu/bf16.h"
#include "sluice/kernels/cpu/workspace.h"

namespace sluice::kernels::cpu {

enum class RopeDirection { kForward, kInverse };  // kInverse turns gradients back

struct RopeShape {
  std::int64_t rows = 0, heads = 0, head_dim = 0;
  std::int64_t rotary_dim = 0;  // even, at most head_dim; elements past it stay
  std::int64_t row_stride = 0;  // elements from a row to the next; 0: heads * head_dim
};

//   x [rows, heads, head_dim]   cosine, sine [positions, rotary_dim / 2]   position [rows], each a row of the tables
void rope_inplace(const RopeShape& shape, const float* cosine, const float* sine, const std::int64_t* position, RopeDirection direction,
                  Bf16* x, Workspace& workspace);

}  // namespace sluice::kernels::cpu
