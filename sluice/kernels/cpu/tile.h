// The product tile: up to 6 rows of the left-hand matrix times one packed panel of 64 columns, accumulated in 24 of the 32 vector
// registers. Include only from *_avx512bf16.cpp.
#pragma once
#include <cstring>

#include "sluice/kernels/cpu/panel.h"

namespace sluice::kernels::cpu {

constexpr int kTileRows = 6;

struct StartAtZero {
  void operator()(std::int64_t, __m512* sum) const {
    for (int j = 0; j < 4; ++j) sum[j] = _mm512_setzero_ps();
  }
};

// Rows [first, first + kRows): start(row, sum[4]) gives the sums to add to, finish(row, sum[4]) takes the result.
template <int kRows, class Row, class Start, class Finish>
inline void multiply_tile(Row row, std::int64_t first, const Bf16* panel, std::int64_t depth, Start start, Finish finish) {
  const Bf16* a[kRows];
  __m512 sum[kRows][4];
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
    a[i] = row(first + i);
    start(first + i, sum[i]);
  }
  const auto add_pair = [&](const Bf16* b, auto pair_of_row) {
    __m512bh column[4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) column[j] = (__m512bh)_mm512_loadu_si512(b + 32 * j);
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
      const __m512bh x = (__m512bh)_mm512_set1_epi32(pair_of_row(i));
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) sum[i][j] = _mm512_dpbf16_ps(sum[i][j], x, column[j]);
    }
  };
  const std::int64_t pairs = depth / 2;
  for (std::int64_t p = 0; p < pairs; ++p) {
    add_pair(panel + p * 2 * kPanelColumns, [&](int i) {
      int pair;
      std::memcpy(&pair, a[i] + 2 * p, sizeof pair);
      return pair;
    });
  }
  if (depth % 2 != 0) {  // the last k alone, paired with zero
    add_pair(panel + pairs * 2 * kPanelColumns, [&](int i) { return static_cast<int>(a[i][depth - 1]); });
  }
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) finish(first + i, sum[i]);
}

// Rows [begin, end) times a panel. row(r) points to the row's `depth` elements; before(r) may prefetch what finish(r, sum) will read.
template <class Row, class Start, class Finish, class Before>
inline void multiply_panel(Row row, std::int64_t begin, std::int64_t end, const Bf16* panel, std::int64_t depth, Start start, Finish finish,
                           Before before) {
  std::int64_t r = begin;
  for (; r + kTileRows <= end; r += kTileRows) {
    for (int i = 0; i < kTileRows; ++i) before(r + i);
    multiply_tile<kTileRows>(row, r, panel, depth, start, finish);
  }
  switch (end - r) {
    case 5:
      return multiply_tile<5>(row, r, panel, depth, start, finish);
    case 4:
      return multiply_tile<4>(row, r, panel, depth, start, finish);
    case 3:
      return multiply_tile<3>(row, r, panel, depth, start, finish);
    case 2:
      return multiply_tile<2>(row, r, panel, depth, start, finish);
    case 1:
      return multiply_tile<1>(row, r, panel, depth, start, finish);
    default:
      return;
  }
}
template <class Row, class Start, class Finish>
inline void multiply_panel(Row row, std::int64_t begin, std::int64_t end, const Bf16* panel, std::int64_t depth, Start start,
                           Finish finish) {
  multiply_panel(row, begin, end, panel, depth, start, finish, [](std::int64_t) {});
}

}  // namespace sluice::kernels::cpu
