// Grouped matrix products: rows sorted into groups, each group with its own weights (one group: a plain product). Everything else that a
// layer does (gather, activation, residual, scatter) is a row pointer or an epilogue of these two. Include only from *_avx512bf16.cpp.
#pragma once
#include "sluice/kernels/cpu/scratch.h"
#include "sluice/kernels/cpu/tile.h"

namespace sluice::kernels::cpu {

// Group g has rows [offsets[g], offsets[g + 1]).
struct Groups {
  std::int64_t count;
  const std::int64_t* offsets;  // [count + 1], not falling

  std::int64_t rows(std::int64_t g) const { return offsets[g + 1] - offsets[g]; }
  // Blocks of at most `block` rows, none across two groups.
  std::int64_t blocks(std::int64_t block) const {
    std::int64_t sum = 0;
    for (std::int64_t g = 0; g < count; ++g) sum += divide_up(rows(g), block);
    return sum;
  }
  struct Block {
    std::int64_t group, begin, end;
  };
  Block find_block(std::int64_t index, std::int64_t block) const {
    std::int64_t g = 0;
    for (std::int64_t n; index >= (n = divide_up(rows(g), block)); ++g) index -= n;
    const std::int64_t begin = offsets[g] + index * block;
    return {g, begin, lesser(begin + block, offsets[g + 1])};
  }
};

// product[r] = row(r) . weights(group of r), for all panels of 64 columns. Each value is summed by one thread in the order of k.
class RowProduct {
 public:
  // Takes scratch for products with depths up to `max_depth`.
  RowProduct(Workspace& workspace, std::int64_t max_depth)
      : panels_(take_per_thread<Bf16>(workspace, panel_size(lesser(max_depth, kMaxDepth)))),
        partials_(take_per_thread<float>(workspace, max_depth > kMaxDepth ? kRowBlock * kPanelColumns : 0)) {}

  // To be called by all threads of a parallel region; ends with a barrier.
  //   row(r) -> const Bf16*: `depth` elements      weights(group, panel) -> PanelSource
  //   finish(r, panel, const __m512 sum[4])        before(r, panel): what finish will read may be prefetched
  template <class Row, class Weights, class Finish, class Before>
  void run(const Groups& groups, std::int64_t depth, std::int64_t panels, Row row, Weights weights, Finish finish, Before before) const {
    std::int64_t row_block = kRowBlock;  // smaller when there would be too few tasks for the threads
    while (row_block > 96 && groups.blocks(row_block) * panels < 4 * omp_get_num_threads()) row_block /= 2;
    const std::int64_t tasks = groups.blocks(row_block) * panels;
    const std::int64_t cuts = greater(divide_up(depth, kMaxDepth), 1), step = round_up(divide_up(depth, cuts), 32);
    Bf16* packed = panels_.mine();
    float* partial = partials_.mine();
#pragma omp for schedule(dynamic)
    for (std::int64_t task = 0; task < tasks; ++task) {
      const std::int64_t panel = task % panels;
      const Groups::Block block = groups.find_block(task / panels, row_block);
      const PanelSource source = weights(block.group, panel);
      for (std::int64_t k = 0; k == 0 || k < depth; k += step) {
        const std::int64_t here = lesser(step, depth - k);
        const bool first = k == 0, last = k + step >= depth;
        const auto partial_of = [&](std::int64_t r) { return partial + (r - block.begin) * kPanelColumns; };
        const auto start = [&](std::int64_t r, __m512* sum) {
          for (int j = 0; j < 4; ++j) sum[j] = first ? _mm512_setzero_ps() : load(partial_of(r) + 16 * j);
        };
        const auto end = [&](std::int64_t r, const __m512* sum) {
          if (last) return finish(r, panel, sum);
          store_columns(partial_of(r), sum, kPanelColumns);
        };
        pack_panel(source, k, here, packed);
        multiply_panel([&](std::int64_t r) { return row(r) + k; }, block.begin, block.end, packed, here, start, end,
                       [&](std::int64_t r) { before(r, panel); });
      }
    }
  }
  template <class Row, class Weights, class Finish>
  void run(const Groups& groups, std::int64_t depth, std::int64_t panels, Row row, Weights weights, Finish finish) const {
    run(groups, depth, panels, row, weights, finish, [](std::int64_t, std::int64_t) {});
  }

 private:
  static constexpr std::int64_t kMaxDepth = 4096;  // a packed panel of 512 KB: half of a level 2 cache
  static constexpr std::int64_t kRowBlock = 1024;
  PerThread<Bf16> panels_;
  PerThread<float> partials_;
};

// out(group)[i][j] += sum over the group's rows r of left(r)[i] * right(r)[j]: the gradient of a weight [left_columns, right_columns].
class WeightGradient {
 public:
  // Takes scratch for gradients with up to `max_right_columns`.
  WeightGradient(Workspace& workspace, const Groups& groups, std::int64_t max_right_columns) {
    std::int64_t packed_rows = 0, deepest = 0;
    for (std::int64_t g = 0; g < groups.count; ++g) {
      const std::int64_t rows = lesser(groups.rows(g), kPassRows);
      packed_rows += round_up(rows, 2);
      deepest = greater(deepest, rows);
    }
    right_ = take_scratch<Bf16>(workspace, packed_rows * round_up(max_right_columns, kPanelColumns));
    left_ = take_per_thread<Bf16>(workspace, kLeftColumns * transposed_stride(deepest));
  }

  // To be called by all threads of a parallel region; ends with a barrier. left(r), right(r) -> const Bf16*; out(group, i) -> float*.
  template <class Left, class Right, class Out>
  void run(const Groups& groups, std::int64_t left_columns, std::int64_t right_columns, Left left, Right right, Out out) const {
    const std::int64_t panels = divide_up(right_columns, kPanelColumns);
    std::int64_t width = kLeftColumns;
    while (width > 48 && groups.count * divide_up(left_columns, width) < 2 * omp_get_num_threads()) width /= 2;
    const std::int64_t strips = divide_up(left_columns, width);
    std::int64_t deepest = 0;
    for (std::int64_t g = 0; g < groups.count; ++g) deepest = greater(deepest, groups.rows(g));
    for (std::int64_t done = 0; done < deepest; done += kPassRows) {
      const auto rows_now = [&](std::int64_t g) { return greater(lesser(groups.rows(g) - done, kPassRows), 0); };
      const auto packed = [&](std::int64_t g) {  // a group's panels follow those of the groups before it
        Bf16* at = right_;
        for (std::int64_t i = 0; i < g; ++i) at += panels * panel_size(rows_now(i));
        return at;
      };
#pragma omp for schedule(dynamic)
      for (std::int64_t task = 0; task < groups.count * panels; ++task) {
        const std::int64_t g = task / panels, panel = task % panels, depth = rows_now(g), first = groups.offsets[g] + done;
        if (depth == 0) continue;
        Bf16* to = packed(g) + panel * panel_size(depth);
        for (std::int64_t h = 0; h < 2; ++h) {
          const std::int64_t column = panel * kPanelColumns + 32 * h;
          const auto row = [&](std::int64_t k) { return right(first + k) + (column < right_columns ? column : 0); };
          pack_half(row, depth, right_columns - column, to, 32 * h);
        }
      }
#pragma omp for schedule(dynamic)
      for (std::int64_t task = 0; task < groups.count * strips; ++task) {
        const std::int64_t g = task / strips, begin = task % strips * width, depth = rows_now(g), first = groups.offsets[g] + done;
        if (depth == 0) continue;
        const std::int64_t columns = lesser(width, left_columns - begin), stride = transposed_stride(depth);
        Bf16* strip = left_.mine();
        pack_transposed([&](std::int64_t k) { return left(first + k) + begin; }, depth, columns, strip);
        for (std::int64_t panel = 0; panel < panels; ++panel) {
          const std::int64_t column = panel * kPanelColumns;
          multiply_panel([&](std::int64_t i) { return strip + i * stride; }, 0, columns, packed(g) + panel * panel_size(depth), depth,
                         StartAtZero(),
                         [&](std::int64_t i, const __m512* sum) {
                           add_columns(out(g, begin + i) + column, sum, lesser(right_columns - column, kPanelColumns));
                         });
        }
      }
    }
  }

 private:
  static constexpr std::int64_t kPassRows = 2048;  // longer sums are cut, so that scratch stays bounded
  static constexpr std::int64_t kLeftColumns = 192;
  Bf16* right_ = nullptr;
  PerThread<Bf16> left_;
};

}  // namespace sluice::kernels::cpu
