#include "sluice/kernels/cpu/experts.h"

#include "sluice/kernels/cpu/grouped_product.h"

namespace sluice::kernels::cpu {
namespace {

constexpr std::int64_t kHalf = kPanelColumns / 2;

std::int64_t panels_of(std::int64_t columns) { return divide_up(columns, kPanelColumns); }

Groups groups_of(const ExpertsShape& shape, const ExpertRows& rows) { return {shape.experts, rows.expert_offsets}; }

// out[t] = residual[t] + the sum of y over the token's rows. All threads of a parallel region; ends with a barrier.
void sum_rows(const ExpertsShape& shape, const ExpertRows& rows, const Bf16* y, const float* residual, float* out) {
#pragma omp for schedule(static)
  for (std::int64_t t = 0; t < shape.tokens; ++t) {
    const std::int32_t* position = rows.position + t * shape.top_k;
    for (std::int64_t j = 0; j < shape.hidden; j += 16) {
      const __mmask16 mask = lanes(shape.hidden - j);
      __m512 sum = residual != nullptr ? load(residual + t * shape.hidden + j, mask) : _mm512_setzero_ps();
      for (std::int64_t k = 0; k < shape.top_k; ++k) {
        if (position[k] >= 0) sum = _mm512_add_ps(sum, load(y + position[k] * shape.hidden + j, mask));
      }
      store(out + t * shape.hidden + j, sum, mask);
    }
  }
}

// 32 columns of the gate and of the up product in one panel, so that SwiGLU finds both in registers.
PanelSource gate_up_panel(const ExpertsShape& shape, const Bf16* w_gate_up, std::int64_t expert, std::int64_t panel) {
  const Bf16* gate = w_gate_up + (expert * 2 * shape.ffn + panel * kHalf) * shape.hidden;
  const std::int64_t columns = lesser(shape.ffn - panel * kHalf, kHalf);
  return {{gate, gate + shape.ffn * shape.hidden}, {columns, columns}, shape.hidden, Layout::kColumnsStrided};
}

__m512 silu(__m512 x) { return _mm512_mul_ps(x, sigmoid_short(x)); }

// What the gradients of one call share.
struct Backward {
  const ExpertsShape& shape;
  const ExpertRows& rows;
  const Bf16 *dout, *gate_up, *w_down;  // dout [tokens, hidden] in bf16
  Bf16 *h, *dgate_up;                   // [slots, ffn] weighted, [slots, 2 ffn]
  float* weight_parts;                  // [slots, panels of ffn]: parts of a row's d(weight), summed in order afterwards

  // For a row and up to 64 columns of ffn: `sum` is d(loss) / d(weight * silu(gate) * up). Writes h, dgate_up and the part of d(weight).
  void swiglu(std::int64_t r, std::int64_t panel, const __m512* sum) const {
    const std::int64_t column = panel * kPanelColumns, columns = lesser(shape.ffn - column, kPanelColumns);
    const Bf16* saved = gate_up + r * 2 * shape.ffn + column;
    const __m512 weight = _mm512_set1_ps(rows.row_weight[r]);
    __m512 part = _mm512_setzero_ps(), dgate[4], dup[4], weighted[4];
    for (int j = 0; j < 4; ++j) {
      const __mmask16 mask = lanes(columns - 16 * j);
      const __m512 gate = load(saved + 16 * j, mask), up = load(saved + shape.ffn + 16 * j, mask);
      const __m512 sigmoid = sigmoid_short(gate), active = _mm512_mul_ps(gate, sigmoid), both = _mm512_mul_ps(active, up);
      const __m512 gradient = _mm512_mul_ps(sum[j], weight);
      part = _mm512_fmadd_ps(sum[j], both, part);
      weighted[j] = _mm512_mul_ps(both, weight);
      dup[j] = _mm512_mul_ps(gradient, active);
      // d silu(g) / dg = s + g s (1 - s), with s the sigmoid.
      const __m512 slope = _mm512_fmadd_ps(active, _mm512_sub_ps(_mm512_set1_ps(1.0f), sigmoid), sigmoid);
      dgate[j] = _mm512_mul_ps(_mm512_mul_ps(gradient, up), slope);
    }
    Bf16* to = dgate_up + r * 2 * shape.ffn + column;
    store_columns(to, dgate, columns);
    store_columns(to + shape.ffn, dup, columns);
    store_columns(h + r * shape.ffn + column, weighted, columns);
    weight_parts[r * panels_of(shape.ffn) + panel] = _mm512_reduce_add_ps(part);
  }

  void prefetch_saved(std::int64_t r, std::int64_t panel) const {
    const Bf16* saved = gate_up + r * 2 * shape.ffn + panel * kPanelColumns;
    prefetch(saved);
    prefetch(saved + 32);
    prefetch(saved + shape.ffn);
    prefetch(saved + shape.ffn + 32);
  }
};

const Bf16* rounded(const ExpertsShape&, const Bf16* dout, Bf16*) { return dout; }
const Bf16* rounded(const ExpertsShape& shape, const float* dout, Bf16* to) {
#pragma omp for schedule(static)
  for (std::int64_t t = 0; t < shape.tokens; ++t) {
    for (std::int64_t j = 0; j < shape.hidden; j += 16) {
      const __mmask16 mask = lanes(shape.hidden - j);
      store(to + t * shape.hidden + j, load(dout + t * shape.hidden + j, mask), mask);
    }
  }
  return to;
}

}  // namespace

void experts_forward(const ExpertsShape& shape, const ExpertRows& rows, const Bf16* hidden, const Bf16* w_gate_up, const Bf16* w_down,
                     Bf16* gate_up, Bf16* y, Workspace& workspace) {
  workspace.begin();
  const Groups groups = groups_of(shape, rows);
  const RowProduct product(workspace, greater(shape.hidden, shape.ffn));
  Bf16* h = take_scratch<Bf16>(workspace, shape.slots * shape.ffn);  // weighted
  const auto activate = [&](std::int64_t r, std::int64_t panel, const __m512* sum) {
    const std::int64_t column = panel * kHalf, columns = lesser(shape.ffn - column, kHalf);
    if (gate_up != nullptr) {
      store_half(gate_up + r * 2 * shape.ffn + column, sum[0], sum[1], columns);
      store_half(gate_up + (r * 2 + 1) * shape.ffn + column, sum[2], sum[3], columns);
    }
    const __m512 weight = _mm512_set1_ps(rows.row_weight[r]);
    store_half(h + r * shape.ffn + column, _mm512_mul_ps(silu(sum[0]), _mm512_mul_ps(sum[2], weight)),
               _mm512_mul_ps(silu(sum[1]), _mm512_mul_ps(sum[3], weight)), columns);
  };
#pragma omp parallel
  {
    product.run(
        groups, shape.hidden, divide_up(shape.ffn, kHalf), [&](std::int64_t r) { return hidden + rows.row_token[r] * shape.hidden; },
        [&](std::int64_t e, std::int64_t panel) { return gate_up_panel(shape, w_gate_up, e, panel); }, activate);
    product.run(
        groups, shape.ffn, panels_of(shape.hidden), [&](std::int64_t r) { return h + r * shape.ffn; },
        [&](std::int64_t e, std::int64_t panel) {
          return panel_of(w_down + e * shape.hidden * shape.ffn, shape.ffn, panel * kPanelColumns, shape.hidden, Layout::kColumnsStrided);
        },
        [&](std::int64_t r, std::int64_t panel, const __m512* sum) {
          const std::int64_t column = panel * kPanelColumns;
          store_columns(y + r * shape.hidden + column, sum, lesser(shape.hidden - column, kPanelColumns));
        });
  }
}

void experts_combine(const ExpertsShape& shape, const ExpertRows& rows, const Bf16* y, const float* residual, float* out, Workspace&) {
#pragma omp parallel
  sum_rows(shape, rows, y, residual, out);
}

template <class Gradient>
void experts_backward(const ExpertsShape& shape, const ExpertRows& rows, const Gradient* dout, const Bf16* hidden, const Bf16* gate_up,
                      const Bf16* w_gate_up, const Bf16* w_down, const ExpertsGradients& gradients, Workspace& workspace) {
  workspace.begin();
  const Groups groups = groups_of(shape, rows);
  const std::int64_t ffn = shape.ffn, width = shape.hidden, ffn_panels = panels_of(ffn);
  const RowProduct product(workspace, greater(width, 2 * ffn));
  const WeightGradient weight_gradient(workspace, groups,
                                       greater(gradients.w_down != nullptr ? ffn : 0, gradients.w_gate_up != nullptr ? width : 0));
  Bf16* dout_rounded = sizeof(Gradient) == 4 ? take_scratch<Bf16>(workspace, shape.tokens * width) : nullptr;
  Bf16* h = take_scratch<Bf16>(workspace, shape.slots * ffn);
  Bf16* dgate_up = take_scratch<Bf16>(workspace, shape.slots * 2 * ffn);
  Bf16* dhidden_rows = gradients.hidden != nullptr ? take_scratch<Bf16>(workspace, shape.slots * width) : nullptr;
  float* weight_parts = take_scratch<float>(workspace, shape.slots * ffn_panels);
#pragma omp parallel
  {
    const Backward backward{shape, rows, rounded(shape, dout, dout_rounded), gate_up, w_down, h, dgate_up, weight_parts};
    const auto dout_row = [&](std::int64_t r) { return backward.dout + rows.row_token[r] * width; };
    const auto dgate_up_row = [&](std::int64_t r) -> const Bf16* { return dgate_up + r * 2 * ffn; };
    product.run(
        groups, width, ffn_panels, dout_row,
        [&](std::int64_t e, std::int64_t panel) {
          return panel_of(w_down + e * width * ffn, ffn, panel * kPanelColumns, ffn, Layout::kColumnsTogether);
        },
        [&](std::int64_t r, std::int64_t panel, const __m512* sum) { backward.swiglu(r, panel, sum); },
        [&](std::int64_t r, std::int64_t panel) { backward.prefetch_saved(r, panel); });
    if (gradients.row_weight != nullptr) {
#pragma omp for schedule(static) nowait
      for (std::int64_t r = 0; r < shape.slots; ++r) {
        float sum = 0;
        for (std::int64_t p = 0; p < ffn_panels; ++p) sum += weight_parts[r * ffn_panels + p];
        gradients.row_weight[r] = sum;
      }
    }
    if (gradients.w_down != nullptr) {
      weight_gradient.run(
          groups, width, ffn, dout_row, [&](std::int64_t r) -> const Bf16* { return h + r * ffn; },
          [&](std::int64_t e, std::int64_t i) { return gradients.w_down + (e * width + i) * ffn; });
    }
    if (gradients.w_gate_up != nullptr) {
      weight_gradient.run(
          groups, 2 * ffn, width, dgate_up_row, [&](std::int64_t r) { return hidden + rows.row_token[r] * width; },
          [&](std::int64_t e, std::int64_t i) { return gradients.w_gate_up + (e * 2 * ffn + i) * width; });
    }
    if (gradients.hidden != nullptr) {
      product.run(
          groups, 2 * ffn, panels_of(width), dgate_up_row,
          [&](std::int64_t e, std::int64_t panel) {
            return panel_of(w_gate_up + e * 2 * ffn * width, width, panel * kPanelColumns, width, Layout::kColumnsTogether);
          },
          [&](std::int64_t r, std::int64_t panel, const __m512* sum) {
            const std::int64_t column = panel * kPanelColumns;
            store_columns(dhidden_rows + r * width + column, sum, lesser(width - column, kPanelColumns));
          });
      sum_rows(shape, rows, dhidden_rows, nullptr, gradients.hidden);
    }
  }
}
template void experts_backward(const ExpertsShape&, const ExpertRows&, const Bf16*, const Bf16*, const Bf16*, const Bf16*, const Bf16*,
                               const ExpertsGradients&, Workspace&);
template void experts_backward(const ExpertsShape&, const ExpertRows&, const float*, const Bf16*, const Bf16*, const Bf16*, const Bf16*,
                               const ExpertsGradients&, Workspace&);

}  // namespace sluice::kernels::cpu
