// What attention's forward and backward share: the cut into blocks, who sees whom, and the packing of a sequence's keys or values.
// Include only from *_avx512bf16.cpp.
#pragma once
#include "sluice/kernels/cpu/attention.h"
#include "sluice/kernels/cpu/scratch.h"
#include "sluice/kernels/cpu/tile.h"

namespace sluice::kernels::cpu {

constexpr std::int64_t kQueryBlock = kPanelColumns;  // so that a block's own keys are one panel
constexpr std::int64_t kSpan = 512;                  // keys whose scores are held at once; a multiple of kPanelColumns
constexpr std::int64_t kSpanStride = kSpan + 32;     // off the powers of two

inline std::int64_t sequence_length(const AttentionShape& shape, std::int64_t batch) {
  return shape.lengths == nullptr ? shape.seq : greater(0, lesser(shape.lengths[batch], shape.seq));
}

template <class T>
inline T* head_of(const Heads<T>& heads, std::int64_t batch, std::int64_t head) {
  return heads.data + batch * heads.strides.batch + head * heads.strides.head;
}

inline std::int64_t dim_panels(const AttentionShape& shape) { return divide_up(shape.head_dim, kPanelColumns); }
inline std::int64_t padded_seq(const AttentionShape& shape) { return round_up(shape.seq, kPanelColumns); }

// rows^T: a panel for each 64 rows, depth head_dim. `out` has padded_seq * head_dim elements.
inline void pack_rows_as_columns(const AttentionShape& shape, const Bf16* rows, std::int64_t stride, std::int64_t panel, std::int64_t count,
                                 Bf16* out) {
  pack_panel(panel_of(rows, stride, panel * kPanelColumns, count, Layout::kColumnsStrided), 0, shape.head_dim,
             out + panel * kPanelColumns * shape.head_dim);
}

// rows as they are: a panel for each 64 of head_dim, depth `count`. Panels are `depth_capacity` deep in `out`.
inline void pack_rows(const AttentionShape& shape, const Bf16* rows, std::int64_t stride, std::int64_t first, std::int64_t count,
                      std::int64_t depth_capacity, Bf16* out) {
  for (std::int64_t d = 0; d < dim_panels(shape); ++d) {
    pack_panel(panel_of(rows, stride, d * kPanelColumns, shape.head_dim, Layout::kColumnsTogether), first, count,
               out + (d * depth_capacity + first) * kPanelColumns);
  }
}

}  // namespace sluice::kernels::cpu
