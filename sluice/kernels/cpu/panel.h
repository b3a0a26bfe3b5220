// Packing for the product tile. A panel is 64 columns of the right-hand matrix, pairs of k together as VDPBF16PS wants them:
// [ceil(depth / 2)][64][2] bf16, zero where the matrix ends. Include only from *_avx512bf16.cpp.
#pragma once
#include "sluice/kernels/cpu/simd.h"

namespace sluice::kernels::cpu {

constexpr std::int64_t kPanelColumns = 64;

inline std::int64_t panel_size(std::int64_t depth) { return divide_up(depth, 2) * 2 * kPanelColumns; }

enum class Layout {
  kColumnsStrided,  // [columns, depth], depth contiguous: a weight [out, in] in y = x w^T
  kColumnsTogether  // [depth, columns], columns contiguous: the same weight in dx = dy w
};

// Where a panel's columns lie: two halves of up to 32, so that gate and up columns can share a panel.
struct PanelSource {
  const Bf16* half[2];      // the half's first column at k = 0
  std::int64_t columns[2];  // 0 to 32
  std::int64_t stride;      // from a column (kColumnsStrided) or a k (kColumnsTogether) to the next
  Layout layout;
};

// Columns [first, first + 64) of a matrix with `columns` of them.
inline PanelSource panel_of(const Bf16* matrix, std::int64_t stride, std::int64_t first, std::int64_t columns, Layout layout) {
  const std::int64_t step = layout == Layout::kColumnsStrided ? stride : 1, left = columns - first;
  return {{matrix + first * step, matrix + (left > 32 ? first + 32 : first) * step},
          {lesser(left, 32), greater(lesser(left - 32, 32), 0)},
          stride,
          layout};
}

// 16 vectors of 16 pairs: r[i][j] becomes r[j][i].
inline void transpose_pairs(__m512i (&r)[16]) {
  __m512i t[16];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
    r[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
    r[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
  }
}

// 16 columns, each contiguous in k, into a panel's columns from `at` on.
inline void pack_sixteen_columns(const Bf16* first, std::int64_t stride, std::int64_t columns, std::int64_t depth, Bf16* panel,
                                 std::int64_t at) {
  const std::int64_t pairs = divide_up(depth, 2);
  for (std::int64_t pair = 0; pair < pairs; pair += 16) {
    __m512i r[16];
    if (columns >= 16 && 2 * pair + 32 <= depth) {
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i) r[i] = _mm512_loadu_si512(first + i * stride + 2 * pair);
    } else {
      const __mmask32 mask = lanes32(depth - 2 * pair);
      for (int i = 0; i < 16; ++i)
        r[i] = i < columns ? _mm512_maskz_loadu_epi16(mask, first + i * stride + 2 * pair) : _mm512_setzero_si512();
    }
    transpose_pairs(r);
    Bf16* out = panel + (pair * kPanelColumns + at) * 2;
    if (pair + 16 <= pairs) {
#pragma GCC unroll 16
      for (int j = 0; j < 16; ++j) _mm512_storeu_si512(out + j * 2 * kPanelColumns, r[j]);
    } else {
      for (int j = 0; j < 16; ++j) {
        if (pair + j < pairs) _mm512_storeu_si512(out + j * 2 * kPanelColumns, r[j]);
      }
    }
  }
}

// 32 columns of two neighbouring k (b null: past the end) as 32 pairs.
inline void pack_pair_of_rows(const Bf16* a, const Bf16* b, std::int64_t columns, Bf16* out) {
  const __mmask32 mask = lanes32(columns);
  const __m512i x = _mm512_maskz_loadu_epi16(mask, a);
  const __m512i y = b == nullptr ? _mm512_setzero_si512() : _mm512_maskz_loadu_epi16(mask, b);
  const __m512i low = _mm512_unpacklo_epi16(x, y), high = _mm512_unpackhi_epi16(x, y);
  _mm512_storeu_si512(out, _mm512_permutex2var_epi64(low, _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), high));
  _mm512_storeu_si512(out + 32, _mm512_permutex2var_epi64(low, _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15), high));
}

inline void prefetch(const Bf16* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0); }

// One half (32 columns from `at`) of a panel from rows given by pointer: row(k) is the half's first column at k.
template <class Row>
inline void pack_half(Row row, std::int64_t depth, std::int64_t columns, Bf16* panel, std::int64_t at) {
  constexpr std::int64_t kAhead = 32;  // rows may be gathered, which the hardware does not foresee
  for (std::int64_t k = 0; k < depth; k += 2) {
    if (k + kAhead + 1 < depth) {
      prefetch(row(k + kAhead));
      prefetch(row(k + kAhead + 1));
    }
    pack_pair_of_rows(row(k), k + 1 < depth ? row(k + 1) : nullptr, columns, panel + (k / 2 * kPanelColumns + at) * 2);
  }
}

// Packs k in [first, first + depth) of a panel.
inline void pack_panel(const PanelSource& source, std::int64_t first, std::int64_t depth, Bf16* panel) {
  for (int h = 0; h < 2; ++h) {
    if (source.layout == Layout::kColumnsTogether) {
      const Bf16* base = source.half[h] + first * source.stride;
      pack_half([&](std::int64_t k) { return base + k * source.stride; }, depth, source.columns[h], panel, 32 * h);
    } else {
      for (int c = 0; c < 32; c += 16) {
        pack_sixteen_columns(source.half[h] + (source.columns[h] > c ? c * source.stride : 0) + first, source.stride, source.columns[h] - c,
                             depth, panel, 32 * h + c);
      }
    }
  }
}

// Elements from a row of pack_transposed to the next: off the powers of two, on which six rows would share one cache set.
inline std::int64_t transposed_stride(std::int64_t depth) { return round_up(depth, 32) + 32; }

// The transposed left-hand matrix: out[c][k] = row(k)[c] for c < columns, k < depth, zero for k past it up to a multiple of 32.
//   out [round_up(columns, 16), transposed_stride(depth)]
template <class Row>
inline void pack_transposed(Row row, std::int64_t depth, std::int64_t columns, Bf16* out) {
  const std::int64_t stride = transposed_stride(depth);
  const __m512i interleave = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19,
                                              3, 18, 2, 17, 1, 16, 0);
  for (std::int64_t k0 = 0; k0 < depth; k0 += 32) {
    const Bf16* rows[32];
    for (int i = 0; i < 32; ++i) rows[i] = k0 + i < depth ? row(k0 + i) : nullptr;
    for (std::int64_t k = k0 + 32; k < lesser(depth, k0 + 64); ++k) {
      for (std::int64_t c = 0; c < columns; c += 32) prefetch(row(k) + c);
    }
    for (std::int64_t c = 0; c < columns; c += 16) {
      const __mmask16 mask = lanes(columns - c);
      const auto sixteen = [&](int i) { return rows[i] ? _mm256_maskz_loadu_epi16(mask, rows[i] + c) : _mm256_setzero_si256(); };
      __m512i r[16];
      for (int i = 0; i < 16; ++i) {
        const __m512i both = _mm512_inserti64x4(_mm512_castsi256_si512(sixteen(2 * i)), sixteen(2 * i + 1), 1);
        r[i] = _mm512_permutexvar_epi16(interleave, both);
      }
      transpose_pairs(r);
#pragma GCC unroll 16
      for (int j = 0; j < 16; ++j) _mm512_storeu_si512(out + (c + j) * stride + k0, r[j]);
    }
  }
}

}  // namespace sluice::kernels::cpu
