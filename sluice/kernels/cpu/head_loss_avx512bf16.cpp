#include "sluice/kernels/cpu/head_loss.h"

#include <cmath>

#include "sluice/kernels/cpu/grouped_product.h"
#include "sluice/kernels/cpu/trained_rows.h"

namespace sluice::kernels::cpu {
namespace {

__m512 load_logits(const Bf16* logits, std::int64_t j, std::int64_t vocab) {
  const __mmask16 mask = lanes(vocab - j);
  if (mask == 0xffff) return load(logits + j);
  return _mm512_mask_mov_ps(_mm512_set1_ps(kHidden), mask, load(logits + j, mask));
}

// log of the sum of the exponentials of a row of logits.
float log_sum_exp(const Bf16* logits, std::int64_t vocab) {
  __m512 most = _mm512_set1_ps(kHidden), sum[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
  for (std::int64_t j = 0; j < vocab; j += 16) most = _mm512_max_ps(most, load_logits(logits, j, vocab));
  const float largest = _mm512_reduce_max_ps(most);
  for (std::int64_t j = 0; j < vocab; j += 32) {
    for (std::int64_t h = 0; h < 2 && j + 16 * h < vocab; ++h) {
      const __m512 x = _mm512_sub_ps(load_logits(logits, j + 16 * h, vocab), _mm512_set1_ps(largest));
      sum[h] = _mm512_add_ps(sum[h], exp_short(x));
    }
  }
  return largest + std::log(_mm512_reduce_add_ps(_mm512_add_ps(sum[0], sum[1])));
}

// Replaces a row of logits by scale * (softmax - one at the label).
void differentiate(Bf16* logits, std::int64_t vocab, std::int64_t label, float log_sum, float scale) {
  const float at_label = (std::exp(to_float(logits[label]) - log_sum) - 1) * scale;
  for (std::int64_t j = 0; j < vocab; j += 16) {
    const __m512 p = exp_short(_mm512_sub_ps(load_logits(logits, j, vocab), _mm512_set1_ps(log_sum)));
    store(logits + j, _mm512_mul_ps(p, _mm512_set1_ps(scale)), lanes(vocab - j));
  }
  logits[label] = to_bf16(at_label);
}

void clear_row(const HeadLossInput& input, const HeadLossOutput& output, std::int64_t row) {
  if (output.row_loss != nullptr) output.row_loss[row] = 0;
  for (std::int64_t j = 0; j < input.hidden; j += 16) {
    const __mmask16 mask = lanes(input.hidden - j);
    if (output.dx != nullptr) store(output.dx + row * input.hidden + j, _mm512_setzero_ps(), mask);
    if (output.dx_float != nullptr) store(output.dx_float + row * input.hidden + j, _mm512_setzero_ps(), mask);
  }
}

}  // namespace

double head_loss(const HeadLossInput& input, const HeadLossOutput& output, Workspace& workspace) {
  workspace.begin();
  const std::int64_t hidden = input.hidden, vocab = input.vocab;
  auto* trained = take_scratch<std::int64_t>(workspace, input.rows);  // only rows with a label are computed
  const std::int64_t count = find_trained_rows(input, trained);
  const std::int64_t chunk = greater(1, lesser(input.chunk_rows, count));
  const bool backward = output.dx != nullptr || output.dx_float != nullptr || output.dw != nullptr;

  const std::int64_t stride = round_up(vocab, 32);
  Bf16* logits = take_scratch<Bf16>(workspace, chunk * stride);
  float* losses = take_scratch<float>(workspace, count);
  const RowProduct product(workspace, backward ? greater(hidden, vocab) : hidden);
  const std::int64_t whole_chunk[] = {0, chunk};
  const WeightGradient weight_gradient(workspace, Groups{1, whole_chunk}, output.dw != nullptr ? hidden : 0);

#pragma omp parallel
  {
#pragma omp for schedule(static)
    for (std::int64_t r = 0; r < input.rows; ++r) clear_row(input, output, r);
    for (std::int64_t begin = 0; begin < count; begin += chunk) {
      const std::int64_t rows = lesser(chunk, count - begin), offsets[] = {0, rows};
      const Groups groups{1, offsets};
      const auto x_row = [&](std::int64_t i) { return input.x + trained[begin + i] * hidden; };
      const auto logits_row = [&](std::int64_t i) -> const Bf16* { return logits + i * stride; };
      product.run(
          groups, hidden, divide_up(vocab, kPanelColumns), x_row,
          [&](std::int64_t, std::int64_t panel) {
            return panel_of(input.w, hidden, panel * kPanelColumns, vocab, Layout::kColumnsStrided);
          },
          [&](std::int64_t i, std::int64_t panel, const __m512* sum) {
            const std::int64_t column = panel * kPanelColumns;
            store_columns(logits + i * stride + column, sum, lesser(vocab - column, kPanelColumns));
          });
#pragma omp for schedule(dynamic, 8)
      for (std::int64_t i = 0; i < rows; ++i) {
        Bf16* row = logits + i * stride;
        const std::int64_t r = trained[begin + i];
        const float log_sum = log_sum_exp(row, vocab);
        losses[begin + i] = log_sum - to_float(row[input.labels[r]]);
        if (output.row_loss != nullptr) output.row_loss[r] = losses[begin + i];
        if (backward) differentiate(row, vocab, input.labels[r], log_sum, input.scale);
      }
      if (output.dx != nullptr || output.dx_float != nullptr) {
        product.run(
            groups, vocab, divide_up(hidden, kPanelColumns), logits_row,
            [&](std::int64_t, std::int64_t panel) {
              return panel_of(input.w, hidden, panel * kPanelColumns, hidden, Layout::kColumnsTogether);
            },
            [&](std::int64_t i, std::int64_t panel, const __m512* sum) {
              const std::int64_t column = panel * kPanelColumns, columns = lesser(hidden - column, kPanelColumns);
              const std::int64_t at = trained[begin + i] * hidden + column;
              if (output.dx != nullptr) store_columns(output.dx + at, sum, columns);
              if (output.dx_float != nullptr) store_columns(output.dx_float + at, sum, columns);
            });
      }
      if (output.dw != nullptr) {
        weight_gradient.run(groups, vocab, hidden, logits_row, x_row, [&](std::int64_t, std::int64_t i) { return output.dw + i * hidden; });
      }
    }
  }
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) sum += static_cast<double>(losses[i]);
  return sum;
}

}  // namespace sluice::kernels::cpu
