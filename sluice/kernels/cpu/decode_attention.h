// Attention of one new token a row against a cache of keys and values: what a step of generation computes.
#pragma once
#include <cstdint>

#include "sluice/kernels/cpu/bf16.h"

namespace sluice::kernels::cpu {

struct DecodeShape {
  std::int64_t rows = 0, heads = 0, kv_heads = 0, head_dim = 0;  // head_dim: a multiple of 16, at most 256; kv_heads divides heads
  std::int64_t capacity = 0;      // positions from one head of the cache to the next
  std::int64_t begin = 0, end = 0;  // the positions that are seen, at least one
  float scale = 0;                // of q k^T
};

bool decode_supported(const DecodeShape& shape);

// out = softmax(scale q k^T) v, sums in float32. Query head h reads key and value head h / (heads / kv_heads). Work is shared over
// rows * kv_heads; the result's bits do not depend on threads.
//   q, out  [rows, heads, head_dim]   k, v  [rows, kv_heads, capacity, head_dim]
void decode_attention(const DecodeShape& shape, const Bf16* q, const Bf16* k, const Bf16* v, Bf16* out);

}  // namespace sluice::kernels::cpu
