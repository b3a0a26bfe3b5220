// Rotary position embedding (Su et al., arXiv:2104.09864), half-split: dimensions i and i + rotary/2 form a pair.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace sluice::nn {

// cos and sin of position * theta^(-2i / rotary), float32 [positions, rotary / 2].
struct RopeTable {
  at::Tensor cos, sin;
};
RopeTable make_rope_table(std::int64_t positions, std::int64_t rotary, double theta);

// Rotates the first rotary dimensions of every head.
//   x        [rows * seq, heads, head_dim]; token t of a row stands at position first_position + t
//   returns  the same shape and precision; the rotation itself is float32
at::Tensor apply_rope(const at::Tensor& x, const RopeTable& table, std::int64_t seq, std::int64_t first_position);

}  // namespace sluice::nn
