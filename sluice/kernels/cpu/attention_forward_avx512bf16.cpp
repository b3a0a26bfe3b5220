#include <cmath>

#include "sluice/kernels/cpu/attention.h"
#include "sluice/kernels/cpu/attention_blocks.h"

namespace sluice::kernels::cpu {
namespace {

// A thread's memory for one block of queries.
struct Scratch {
  float* scores;   // [kQueryBlock, kSpanStride]
  Bf16* probs;     // [kQueryBlock, kSpanStride] not yet divided by their sum
  float* partial;  // [kQueryBlock, dim panels * 64] the output so far, where keys take more than one span
};

struct Forward {
  const AttentionShape& shape;
  Heads<const Bf16> q;
  Heads<Bf16> out;
  float* lse;
  const Bf16 *packed_k, *packed_v;  // [batch, kv_heads] of padded_seq * head_dim, and of dim panels * padded_seq * 64

  // Softmax over one span with a running maximum and sum (Milakov and Gimelshein, arXiv:1805.02867). Returns what the sums before are to be
  // multiplied by.
  float soften(const float* scores, std::int64_t visible, std::int64_t keys, Bf16* probs, float& most, float& sum) const {
    __m512 largest = _mm512_set1_ps(kHidden), total = _mm512_setzero_ps();
    for (std::int64_t k = 0; k < visible; k += 16) {
      largest = _mm512_mask_max_ps(largest, lanes(visible - k), largest, load(scores + k));
    }
    const float before = most;
    if (visible > 0) most = std::fmax(most, _mm512_reduce_max_ps(largest) * shape.scale);
    const __m512 scale = _mm512_set1_ps(shape.scale * kLog2e), shift = _mm512_set1_ps(most * kLog2e);
    for (std::int64_t k = 0; k < keys; k += 16) {
      const __m512 e = _mm512_maskz_mov_ps(lanes(visible - k), exp2_short<5>(_mm512_fmsub_ps(load(scores + k), scale, shift)));
      total = _mm512_add_ps(total, e);
      store(probs + k, e);
    }
    const float factor = std::exp(before - most);
    sum = sum * factor + _mm512_reduce_add_ps(total);
    return factor;
  }

  void block(std::int64_t b, std::int64_t head, std::int64_t first, const Scratch& scratch) const {
    const std::int64_t rows = lesser(kQueryBlock, shape.seq - first), length = sequence_length(shape, b), dims = shape.head_dim;
    const std::int64_t keys = lesser(first + rows, length), kv = b * shape.kv_heads + head / (shape.heads / shape.kv_heads);
    const Bf16* queries = head_of(q, b, head) + first * q.strides.row;
    Bf16* result = head_of(out, b, head) + first * out.strides.row;
    float most[kQueryBlock], sum[kQueryBlock], factor[kQueryBlock];
    for (std::int64_t i = 0; i < rows; ++i) {
      most[i] = kHidden;
      sum[i] = 0;
      for (std::int64_t j = 0; keys == 0 && j < dims; j += 16) store(result + i * out.strides.row + j, _mm512_setzero_ps());
    }
    for (std::int64_t start = 0; start < keys; start += kSpan) {
      const std::int64_t here = lesser(kSpan, keys - start);
      for (std::int64_t p = 0; p < divide_up(here, kPanelColumns); ++p) {
        multiply_panel(
            [&](std::int64_t i) { return queries + i * q.strides.row; }, 0, rows,
            packed_k + (kv * padded_seq(shape) + start + p * kPanelColumns) * dims, dims, StartAtZero(),
            [&](std::int64_t i, const __m512* s) { store_columns(scratch.scores + i * kSpanStride + p * kPanelColumns, s, 64); });
      }
      for (std::int64_t i = 0; i < rows; ++i) {
        const std::int64_t visible = lesser(lesser(first + i + 1, length) - start, here);
        factor[i] = soften(scratch.scores + i * kSpanStride, visible, here, scratch.probs + i * kSpanStride, most[i], sum[i]);
      }
      for (std::int64_t d = 0; d < dim_panels(shape); ++d) {
        float* partial = scratch.partial + d * kPanelColumns;
        const std::int64_t row = dim_panels(shape) * kPanelColumns;
        multiply_panel([&](std::int64_t i) -> const Bf16* { return scratch.probs + i * kSpanStride; }, 0, rows,
                       packed_v + ((kv * dim_panels(shape) + d) * padded_seq(shape) + start) * kPanelColumns, here,
                       [&](std::int64_t i, __m512* s) {
                         for (int j = 0; j < 4; ++j) {
                           s[j] = start == 0 ? _mm512_setzero_ps()
                                             : _mm512_mul_ps(load(partial + i * row + 16 * j), _mm512_set1_ps(factor[i]));
                         }
                       },
                       [&](std::int64_t i, const __m512* s) {
                         if (start + kSpan < keys) return store_columns(partial + i * row, s, kPanelColumns);
                         __m512 scaled[4];
                         for (int j = 0; j < 4; ++j) scaled[j] = _mm512_mul_ps(s[j], _mm512_set1_ps(1 / sum[i]));
                         store_columns(result + i * out.strides.row + d * kPanelColumns, scaled, dims - d * kPanelColumns);
                       });
      }
    }
    for (std::int64_t i = 0; lse != nullptr && i < rows; ++i) {
      lse[(b * shape.heads + head) * shape.seq + first + i] = keys == 0 ? -INFINITY : most[i] + std::log(sum[i]);
    }
  }
};

}  // namespace

bool attention_supported(const AttentionShape& shape) {
  return shape.head_dim > 0 && shape.head_dim % 16 == 0 && shape.head_dim <= 256 && shape.kv_heads > 0 && shape.heads % shape.kv_heads == 0;
}

void attention_forward(const AttentionShape& shape, Heads<const Bf16> q, Heads<const Bf16> k, Heads<const Bf16> v, Heads<Bf16> out,
                       float* lse, Workspace& workspace) {
  workspace.begin();
  const std::int64_t padded = padded_seq(shape), sequences = shape.batch * shape.kv_heads, panels = padded / kPanelColumns;
  const std::int64_t dims_padded = dim_panels(shape) * kPanelColumns;
  Bf16* packed_k = take_scratch<Bf16>(workspace, sequences * padded * shape.head_dim);
  Bf16* packed_v = take_scratch<Bf16>(workspace, sequences * padded * dims_padded);
  const auto scores = take_per_thread<float>(workspace, kQueryBlock * kSpanStride);
  const auto probs = take_per_thread<Bf16>(workspace, kQueryBlock * kSpanStride);
  const auto partial = take_per_thread<float>(workspace, kQueryBlock * dims_padded);
  const Forward forward{shape, q, out, lse, packed_k, packed_v};
#pragma omp parallel
  {
#pragma omp for schedule(static)
    for (std::int64_t task = 0; task < sequences * panels; ++task) {
      const std::int64_t sequence = task / panels, panel = task % panels, b = sequence / shape.kv_heads, h = sequence % shape.kv_heads;
      const std::int64_t length = sequence_length(shape, b), first = panel * kPanelColumns;
      if (first >= length) continue;
      pack_rows_as_columns(shape, head_of(k, b, h), k.strides.row, panel, length, packed_k + sequence * padded * shape.head_dim);
      pack_rows(shape, head_of(v, b, h), v.strides.row, first, lesser(length - first, kPanelColumns), padded,
                packed_v + sequence * padded * dims_padded);
    }
    const Scratch mine{scores.mine(), probs.mine(), partial.mine()};
#pragma omp for schedule(dynamic)
    for (std::int64_t task = 0; task < shape.batch * shape.heads * panels; ++task) {
      const std::int64_t sequence = task / panels, block = panels - 1 - task % panels;  // the long rows first
      forward.block(sequence / shape.heads, sequence % shape.heads, block * kQueryBlock, mine);
    }
  }
}

}  // namespace sluice::kernels::cpu
