#include "sluice/nn/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "sluice/base/error.h"

namespace sluice::nn {
namespace {

// float32 [rotary / 2], in HF's order of operations.
at::Tensor plain_frequencies(std::int64_t rotary, double theta) {
  return at::reciprocal(at::pow(theta, at::arange(0, rotary, 2, at::kFloat) / static_cast<double>(rotary)));
}

at::Tensor llama3_frequencies(const at::Tensor& frequency, double original, const RopeScaling& s) {
  const at::Tensor wavelength = 2 * std::numbers::pi / frequency;
  const at::Tensor smooth = (original / wavelength - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor);
  const at::Tensor between = (1 - smooth) * frequency / s.factor + smooth * frequency;
  const at::Tensor low = wavelength > original / s.low_freq_factor, high = wavelength < original / s.high_freq_factor;
  return at::where(low, frequency / s.factor, at::where(high, frequency, between));
}

at::Tensor yarn_frequencies(const at::Tensor& frequency, std::int64_t rotary, double theta, double original, const RopeScaling& s) {
  // The dimension that turns `turns` times over the original length.
  const auto dimension = [&](double turns) {
    return static_cast<double>(rotary) * std::log(original / (turns * 2 * std::numbers::pi)) / (2 * std::log(theta));
  };
  double low = dimension(s.beta_fast), high = dimension(s.beta_slow);
  if (s.truncate) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0), high = std::min(high, static_cast<double>(rotary - 1));
  if (low == high) high += 0.001;
  const at::Tensor ramp = ((at::arange(rotary / 2, at::kFloat) - low) / (high - low)).clamp(0, 1);
  return frequency / s.factor * ramp + frequency * (1 - ramp);
}

double attention_factor(const RopeScaling& s) {
  if (s.rope_type != RopeType::kYarn) return 1;
  if (s.attention_factor) return *s.attention_factor;
  if (s.mscale.value_or(0) != 0 && s.mscale_all_dim.value_or(0) != 0) return yarn_magnitude(s.factor, *s.mscale) / yarn_magnitude(s.factor, *s.mscale_all_dim);
  return yarn_magnitude(s.factor, 1);
}

// The first 2 * half dimensions of `wide` [rows, seq, heads, head_dim] float32, given as their two halves, rotated.
std::vector<at::Tensor> rotate(const at::Tensor& a, const at::Tensor& b, const RopeTable& table, const Positions& positions) {
  const std::int64_t rows = a.size(0), seq = a.size(1), half = a.size(3), first = positions.first;
  SLUICE_CHECK(positions.of_token.defined() || first + seq <= table.cos.size(0), "positions beyond the rotary table");
  const auto rows_of = [&](const at::Tensor& t) {
    return positions.of_token.defined() ? t.index_select(0, positions.of_token).view({rows, seq, 1, half}) : t.narrow(0, first, seq).view({1, seq, 1, half});
  };
  const at::Tensor cos = rows_of(table.cos), sin = rows_of(table.sin);
  return {a * cos - b * sin, b * cos + a * sin};
}

}  // namespace

double yarn_magnitude(double factor, double m) { return factor <= 1 ? 1 : 0.1 * m * std::log(factor) + 1; }

RopeTable make_rope_table(std::int64_t positions, std::int64_t rotary, double theta, const RopeScaling& scaling) {
  const auto original = static_cast<double>(scaling.original_max_position_embeddings.value_or(positions));
  at::Tensor frequency = plain_frequencies(rotary, theta);
  switch (scaling.rope_type) {
    case RopeType::kDefault: break;
    case RopeType::kLinear: frequency = frequency / scaling.factor; break;
    case RopeType::kLlama3: frequency = llama3_frequencies(frequency, original, scaling); break;
    case RopeType::kYarn: frequency = yarn_frequencies(frequency, rotary, theta, original, scaling); break;
  }
  // Frequencies and angles in float32, as HF computes them: at position 2^17 a double's angle differs in the fourth digit.
  const at::Tensor angle = at::arange(positions, at::kFloat).unsqueeze(1) * frequency.unsqueeze(0);
  const double factor = attention_factor(scaling);
  return {angle.cos().mul_(factor), angle.sin().mul_(factor)};
}

at::Tensor apply_rope(const at::Tensor& x, const RopeTable& table, const Positions& positions) {
  const std::int64_t half = table.cos.size(1);
  const at::Tensor wide = x.to(at::kFloat).view({x.size(0) / positions.seq, positions.seq, x.size(1), x.size(2)});
  std::vector<at::Tensor> parts = rotate(wide.narrow(3, 0, half), wide.narrow(3, half, half), table, positions);
  if (2 * half < x.size(2)) parts.push_back(wide.narrow(3, 2 * half, x.size(2) - 2 * half));
  return at::cat(parts, 3).view(x.sizes()).to(x.scalar_type());
}

at::Tensor apply_rope_to_neighbours(const at::Tensor& x, const RopeTable& table, const Positions& positions) {
  const at::Tensor pairs = x.to(at::kFloat).reshape({x.size(0) / positions.seq, positions.seq, x.size(1), x.size(2) / 2, 2});
  return at::cat(rotate(pairs.select(4, 0), pairs.select(4, 1), table, positions), 3).view(x.sizes()).to(x.scalar_type());
}

}  // namespace sluice::nn
