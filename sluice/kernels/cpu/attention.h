// Causal grouped-query attention on bf16 with float32 softmax, blocked over queries and keys so that scratch grows with the sequence, never
// with its square. Any sequence length; the bits do not depend on the number of threads.
#pragma once
#include <cstdint>

#include "sluice/kernels/cpu/bf16.h"
#include "sluice/kernels/cpu/workspace.h"

namespace sluice::kernels::cpu {

struct AttentionShape {
  std::int64_t batch = 0, seq = 0, heads = 0, kv_heads = 0, head_dim = 0;
  float scale = 0;  // multiplies the scores: usually 1 / sqrt(head_dim)
  // [batch] keys at or past a sequence's length are not visible (right padding); null: all are. A query that sees no key gives zeros.
  const std::int64_t* lengths = nullptr;
};

// Elements from one to the next; a head's head_dim elements are contiguous.
struct HeadStrides {
  std::int64_t batch = 0, row = 0, head = 0;
};

// The strides of a contiguous [batch, seq, heads, head_dim].
inline HeadStrides contiguous_heads(std::int64_t seq, std::int64_t heads, std::int64_t head_dim) {
  return {seq * heads * head_dim, heads * head_dim, head_dim};
}

template <class T>
struct Heads {
  T* data = nullptr;
  HeadStrides strides;
};

// head_dim is a multiple of 16 up to 256, and kv_heads divides heads: what the two functions below ask for.
bool attention_supported(const AttentionShape& shape);

// out = softmax(scale q k^T, causal) v. Query head h reads key/value head h / (heads / kv_heads).
//   q, out: heads heads; k, v: kv_heads heads   lse [batch, heads, seq] out: log of the sum of exponentials; null: not wanted
void attention_forward(const AttentionShape& shape, Heads<const Bf16> q, Heads<const Bf16> k, Heads<const Bf16> v, Heads<Bf16> out,
                       float* lse, Workspace& workspace);

struct AttentionSaved {
  Heads<const Bf16> q, k, v, out;
  const float* lse = nullptr;  // [batch, heads, seq]
};

// Writes dq, dk and dv from dout, the gradient of out. Work is shared over batch * kv_heads.
void attention_backward(const AttentionShape& shape, const AttentionSaved& saved, Heads<const Bf16> dout, Heads<Bf16> dq, Heads<Bf16> dk,
                        Heads<Bf16> dv, Workspace& workspace);

}  // namespace sluice::kernels::cpu
