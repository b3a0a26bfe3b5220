#include <cstring>

#include "sluice/kernels/cpu/attention.h"
#include "sluice/kernels/cpu/attention_blocks.h"

namespace sluice::kernels::cpu {
namespace {

// A thread's memory for one key/value head of one sequence.
struct Scratch {
  Bf16 *k_columns, *v_columns;  // k^T and v^T in panels of 64 keys: padded_seq * head_dim
  Bf16* k_rows;                 // k in panels of 64 dims: padded_seq * dims_padded
  float *dk, *dv;               // [padded_seq, dims_padded]
  Bf16 *q_rows, *dout_rows;     // one span of queries in panels of 64 dims: kSpan * dims_padded
  Bf16 *probs, *dscores;        // [kSpan queries, kSpanStride]
  Bf16* transposed;             // 64 keys by kSpan queries
  float* dq;                    // [kSpan, dims_padded] so far, where keys take more than one span
  float* delta;                 // [kSpan] sum of dout * out of a query
};

// Backward by squares of kSpan queries and kSpan keys (Dao et al., arXiv:2205.14135, algorithm 4, with the squares' probabilities kept for
// the three products that need them): P = exp(scale q k^T - lse), dS = scale P (dout v^T - delta), dq = dS k, dk = dS^T q, dv = P^T dout.
struct Backward {
  const AttentionShape& shape;
  const AttentionSaved& saved;
  Heads<const Bf16> dout;
  Heads<Bf16> dq, dk, dv;
  std::int64_t dims_padded;

  void sequence(std::int64_t b, std::int64_t kv, const Scratch& s) const {
    const std::int64_t length = sequence_length(shape, b), group = shape.heads / shape.kv_heads;
    const Bf16 *k = head_of(saved.k, b, kv), *v = head_of(saved.v, b, kv);
    for (std::int64_t p = 0; p < divide_up(length, kPanelColumns); ++p) {
      pack_rows_as_columns(shape, k, saved.k.strides.row, p, length, s.k_columns);
      pack_rows_as_columns(shape, v, saved.v.strides.row, p, length, s.v_columns);
    }
    pack_rows(shape, k, saved.k.strides.row, 0, length, padded_seq(shape), s.k_rows);
    const auto bytes = static_cast<std::size_t>(padded_seq(shape) * dims_padded) * sizeof(float);
    std::memset(s.dk, 0, bytes);
    std::memset(s.dv, 0, bytes);
    for (std::int64_t head = kv * group; head < (kv + 1) * group; ++head) {
      for (std::int64_t first = 0; first < shape.seq; first += kSpan) query_span(b, head, first, length, s);
    }
    for (std::int64_t r = 0; r < shape.seq; ++r) {
      for (std::int64_t j = 0; j < shape.head_dim; j += 16) {
        store(head_of(dk, b, kv) + r * dk.strides.row + j, load(s.dk + r * dims_padded + j));
        store(head_of(dv, b, kv) + r * dv.strides.row + j, load(s.dv + r * dims_padded + j));
      }
    }
  }

  // Queries [first, first + kSpan) of a head against all the keys that they see.
  void query_span(std::int64_t b, std::int64_t head, std::int64_t first, std::int64_t length, const Scratch& s) const {
    const std::int64_t rows = lesser(kSpan, shape.seq - first), keys = lesser(first + rows, length);
    const Bf16* gradient = head_of(dout, b, head) + first * dout.strides.row;
    const Bf16* output = head_of(saved.out, b, head) + first * saved.out.strides.row;
    for (std::int64_t i = 0; i < rows; ++i) {
      __m512 sum = _mm512_setzero_ps();
      for (std::int64_t j = 0; j < shape.head_dim; j += 16) {
        sum = _mm512_fmadd_ps(load(gradient + i * dout.strides.row + j), load(output + i * saved.out.strides.row + j), sum);
        if (keys == 0) store(head_of(dq, b, head) + (first + i) * dq.strides.row + j, _mm512_setzero_ps());
      }
      s.delta[i] = _mm512_reduce_add_ps(sum);
    }
    pack_rows(shape, head_of(saved.q, b, head) + first * saved.q.strides.row, saved.q.strides.row, 0, rows, kSpan, s.q_rows);
    pack_rows(shape, gradient, dout.strides.row, 0, rows, kSpan, s.dout_rows);
    for (std::int64_t start = 0; start < keys; start += kSpan) {
      for (std::int64_t block = 0; block < rows; block += kQueryBlock) {
        query_block(b, head, first, block, lesser(kQueryBlock, rows - block), start, length, s);
      }
      for (std::int64_t at = 0; at < lesser(kSpan, keys - start); at += kPanelColumns) {
        const std::int64_t skipped = greater(start + at - first, 0);  // queries before the block's first key do not see it
        const std::int64_t count = lesser(kPanelColumns, keys - start - at), depth = rows - skipped;
        add_transposed(s.probs + skipped * kSpanStride + at, count, depth, s.dout_rows + skipped * kPanelColumns, s,
                       s.dv + (start + at) * dims_padded);
        add_transposed(s.dscores + skipped * kSpanStride + at, count, depth, s.q_rows + skipped * kPanelColumns, s,
                       s.dk + (start + at) * dims_padded);
      }
    }
  }

  // Probabilities, score gradients and dq of up to 64 queries, `block` into the span at `first`, against keys [start, start + kSpan).
  void query_block(std::int64_t b, std::int64_t head, std::int64_t first, std::int64_t block, std::int64_t rows, std::int64_t start,
                   std::int64_t length, const Scratch& s) const {
    const std::int64_t query = first + block, last_key = lesser(query + rows, length), keys = lesser(kSpan, last_key - start);
    const std::int64_t dims = shape.head_dim;
    const Bf16* q = head_of(saved.q, b, head) + query * saved.q.strides.row;
    const Bf16* gradient = head_of(dout, b, head) + query * dout.strides.row;
    const float* lse = saved.lse + (b * shape.heads + head) * shape.seq + query;
    Bf16 *probs = s.probs + block * kSpanStride, *dscores = s.dscores + block * kSpanStride;
    const __m512 scale = _mm512_set1_ps(shape.scale), scale_log2 = _mm512_set1_ps(shape.scale * kLog2e);
    for (std::int64_t at = 0; at < keys; at += kPanelColumns) {
      const std::int64_t packed = (start + at) * dims;
      multiply_panel([&](std::int64_t i) { return q + i * saved.q.strides.row; }, 0, rows, s.k_columns + packed, dims, StartAtZero(),
                     [&](std::int64_t i, const __m512* sum) {
                       const std::int64_t visible = lesser(query + i + 1, length) - start - at;
                       __m512 p[4];
                       for (int j = 0; j < 4; ++j) {
                         p[j] = exp2_short<5>(_mm512_fmsub_ps(sum[j], scale_log2, _mm512_set1_ps(lse[i] * kLog2e)));
                         if (visible < kPanelColumns) p[j] = _mm512_maskz_mov_ps(lanes(visible - 16 * j), p[j]);
                       }
                       store_columns(probs + i * kSpanStride + at, p, kPanelColumns);
                     });
      multiply_panel([&](std::int64_t i) { return gradient + i * dout.strides.row; }, 0, rows, s.v_columns + packed, dims, StartAtZero(),
                     [&](std::int64_t i, const __m512* sum) {
                       const __m512 delta = _mm512_set1_ps(s.delta[block + i]);
                       __m512 ds[4];
                       for (int j = 0; j < 4; ++j) {
                         const __m512 p = _mm512_mul_ps(load(probs + i * kSpanStride + at + 16 * j), scale);
                         ds[j] = _mm512_mul_ps(p, _mm512_sub_ps(sum[j], delta));
                       }
                       store_columns(dscores + i * kSpanStride + at, ds, kPanelColumns);
                     });
    }
    for (std::int64_t d = 0; d < dim_panels(shape); ++d) {
      float* partial = s.dq + block * dims_padded + d * kPanelColumns;
      Bf16* to = head_of(dq, b, head) + query * dq.strides.row + d * kPanelColumns;
      multiply_panel([&](std::int64_t i) -> const Bf16* { return dscores + i * kSpanStride; }, 0, rows,
                     s.k_rows + (d * padded_seq(shape) + start) * kPanelColumns, keys,
                     [&](std::int64_t i, __m512* sum) {
                       for (int j = 0; j < 4; ++j) sum[j] = start == 0 ? _mm512_setzero_ps() : load(partial + i * dims_padded + 16 * j);
                     },
                     [&](std::int64_t i, const __m512* sum) {
                       if (start + kSpan < last_key) return store_columns(partial + i * dims_padded, sum, kPanelColumns);
                       store_columns(to + i * dq.strides.row, sum, dims - d * kPanelColumns);
                     });
    }
  }

  // sums[key] += sum over `depth` queries of matrix[query][key] * right[query], for `count` keys.
  void add_transposed(const Bf16* matrix, std::int64_t count, std::int64_t depth, const Bf16* right, const Scratch& s, float* sums) const {
    pack_transposed([&](std::int64_t query) { return matrix + query * kSpanStride; }, depth, count, s.transposed);
    for (std::int64_t d = 0; d < dim_panels(shape); ++d) {
      multiply_panel(
          [&](std::int64_t i) -> const Bf16* { return s.transposed + i * transposed_stride(depth); }, 0, count,
          right + d * kSpan * kPanelColumns, depth, StartAtZero(),
          [&](std::int64_t i, const __m512* sum) { add_columns(sums + i * dims_padded + d * kPanelColumns, sum, kPanelColumns); });
    }
  }
};

}  // namespace

void attention_backward(const AttentionShape& shape, const AttentionSaved& saved, Heads<const Bf16> dout, Heads<Bf16> dq, Heads<Bf16> dk,
                        Heads<Bf16> dv, Workspace& workspace) {
  workspace.begin();
  const std::int64_t padded = padded_seq(shape), dims_padded = dim_panels(shape) * kPanelColumns;
  const auto bf16 = [&](std::int64_t count) { return take_per_thread<Bf16>(workspace, count); };
  const auto floats = [&](std::int64_t count) { return take_per_thread<float>(workspace, count); };
  const auto k_columns = bf16(padded * shape.head_dim), v_columns = bf16(padded * shape.head_dim), k_rows = bf16(padded * dims_padded);
  const auto dk_sums = floats(padded * dims_padded), dv_sums = floats(padded * dims_padded);
  const auto q_rows = bf16(kSpan * dims_padded), dout_rows = bf16(kSpan * dims_padded);
  const auto probs = bf16(kSpan * kSpanStride), dscores = bf16(kSpan * kSpanStride),
             transposed = bf16(kPanelColumns * transposed_stride(kSpan));
  const auto dq_sums = floats(kSpan * dims_padded), delta = floats(kSpan);
  const Backward backward{shape, saved, dout, dq, dk, dv, dims_padded};
#pragma omp parallel
  {
    const Scratch mine{k_columns.mine(), v_columns.mine(), k_rows.mine(),  dk_sums.mine(),    dv_sums.mine(), q_rows.mine(),
                       dout_rows.mine(), probs.mine(),     dscores.mine(), transposed.mine(), dq_sums.mine(), delta.mine()};
#pragma omp for schedule(dynamic)
    for (std::int64_t task = 0; task < shape.batch * shape.kv_heads; ++task) {
      backward.sequence(task / shape.kv_heads, task % shape.kv_heads, mine);
    }
  }
}

}  // namespace sluice::kernels::cpu
