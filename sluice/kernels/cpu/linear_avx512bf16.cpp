#include "sluice/kernels/cpu/grouped_product.h"
#include "sluice/kernels/cpu/linear.h"

namespace sluice::kernels::cpu {
namespace {

std::int64_t in_stride(const LinearShape& shape) { return shape.in_stride != 0 ? shape.in_stride : shape.in; }
std::int64_t out_stride(const LinearShape& shape) { return shape.out_stride != 0 ? shape.out_stride : shape.out; }

// finish(row, first column, columns, sum) receives x w^T by panels.
template <class Finish>
void forward(const LinearShape& shape, const Bf16* x, const Bf16* w, Workspace& workspace, Finish finish) {
  workspace.begin();
  const RowProduct product(workspace, shape.in);
  const std::int64_t offsets[] = {0, shape.rows};
#pragma omp parallel
  product.run(
      Groups{1, offsets}, shape.in, divide_up(shape.out, kPanelColumns), [&](std::int64_t r) { return x + r * in_stride(shape); },
      [&](std::int64_t, std::int64_t panel) { return panel_of(w, shape.in, panel * kPanelColumns, shape.out, Layout::kColumnsStrided); },
      [&](std::int64_t r, std::int64_t panel, const __m512* sum) {
        const std::int64_t column = panel * kPanelColumns;
        finish(r, column, lesser(shape.out - column, kPanelColumns), sum);
      });
}

}  // namespace

template <class Out>
void linear_forward(const LinearShape& shape, const Bf16* x, const Bf16* w, Out* y, Workspace& workspace) {
  forward(shape, x, w, workspace, [&](std::int64_t r, std::int64_t column, std::int64_t columns, const __m512* sum) {
    store_columns(y + r * out_stride(shape) + column, sum, columns);
  });
}
template void linear_forward(const LinearShape&, const Bf16*, const Bf16*, Bf16*, Workspace&);
template void linear_forward(const LinearShape&, const Bf16*, const Bf16*, float*, Workspace&);

void linear_forward_residual(const LinearShape& shape, const Bf16* x, const Bf16* w, const float* residual, float* y,
                             Workspace& workspace) {
  forward(shape, x, w, workspace, [&](std::int64_t r, std::int64_t column, std::int64_t columns, const __m512* sum) {
    const std::int64_t at = r * out_stride(shape) + column;
    __m512 total[4];
    for (int j = 0; j < 4; ++j) total[j] = _mm512_add_ps(load(residual + at + 16 * j, lanes(columns - 16 * j)), sum[j]);
    store_columns(y + at, total, columns);
  });
}

template <class Out>
void linear_input_gradient(const LinearShape& shape, const Bf16* dy, const Bf16* w, Out* dx, Workspace& workspace) {
  workspace.begin();
  const RowProduct product(workspace, shape.out);
  const std::int64_t offsets[] = {0, shape.rows};
#pragma omp parallel
  product.run(
      Groups{1, offsets}, shape.out, divide_up(shape.in, kPanelColumns), [&](std::int64_t r) { return dy + r * out_stride(shape); },
      [&](std::int64_t, std::int64_t panel) { return panel_of(w, shape.in, panel * kPanelColumns, shape.in, Layout::kColumnsTogether); },
      [&](std::int64_t r, std::int64_t panel, const __m512* sum) {
        const std::int64_t column = panel * kPanelColumns;
        store_columns(dx + r * in_stride(shape) + column, sum, lesser(shape.in - column, kPanelColumns));
      });
}
template void linear_input_gradient(const LinearShape&, const Bf16*, const Bf16*, Bf16*, Workspace&);
template void linear_input_gradient(const LinearShape&, const Bf16*, const Bf16*, float*, Workspace&);

void linear_weight_gradient(const LinearShape& shape, const Bf16* dy, const Bf16* x, float* dw, Workspace& workspace) {
  workspace.begin();
  const std::int64_t offsets[] = {0, shape.rows};
  const Groups groups{1, offsets};
  const WeightGradient gradient(workspace, groups, shape.in);
#pragma omp parallel
  gradient.run(
      groups, shape.out, shape.in, [&](std::int64_t r) { return dy + r * out_stride(shape); },
      [&](std::int64_t r) { return x + r * in_stride(shape); }, [&](std::int64_t, std::int64_t i) { return dw + i * shape.in; });
}

}  // namespace sluice::kernels::cpu
