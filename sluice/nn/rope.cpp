#include "sluice/nn/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "sluice/base/error.h"

namespace sluice::nn {
namespace {

// The length of texts before they were stretched.
std::int64_t original_length(const RopeScaling& s, std::int64_t positions) { return s.original_max_position_embeddings.value_or(positions); }

}  // namespace

double stretch(const RopeScaling& scaling, std::int64_t positions) {
  return scaling.factor.value_or(static_cast<double>(positions) / static_cast<double>(original_length(scaling, positions)));
}

double yarn_magnitude(double factor, double m) { return factor <= 1 ? 1 : 0.1 * m * std::log(factor) + 1; }

double attention_factor(const RopeScaling& s, std::int64_t positions) {
  if (s.rope_type != RopeType::kYarn && s.rope_type != RopeType::kLongrope) return 1;
  if (s.attention_factor) return *s.attention_factor;
  const double factor = stretch(s, positions);
  if (s.rope_type == RopeType::kLongrope) {
    return factor <= 1 ? 1 : std::sqrt(1 + std::log(factor) / std::log(static_cast<double>(original_length(s, positions))));
  }
  if (s.mscale.value_or(0) != 0 && s.mscale_all_dim.value_or(0) != 0) return yarn_magnitude(factor, *s.mscale) / yarn_magnitude(factor, *s.mscale_all_dim);
  return yarn_magnitude(factor, 1);
}

namespace {

// theta^(2i / rotary), float32 [rotary / 2], in HF's order of operations: what plain frequencies are the reciprocals of.
at::Tensor powers(std::int64_t rotary, double theta) { return at::pow(theta, at::arange(0, rotary, 2, at::kFloat) / static_cast<double>(rotary)); }

// By the length of the text, in float32 throughout as HF computes it.
at::Tensor dynamic_frequencies(const RopeSettings& rope, std::int64_t length) {
  const auto rotary = static_cast<double>(rope.rotary);
  const double factor = stretch(rope.scaling, rope.positions);
  const at::Tensor ratio = at::scalar_tensor(length, at::kLong) * factor / rope.positions - (factor - 1);
  const at::Tensor theta = ratio.pow(rotary / (rotary - 2)) * rope.theta;
  return at::reciprocal(at::pow(theta, at::arange(0, rope.rotary, 2, at::kFloat) / rotary));
}

at::Tensor llama3_frequencies(const at::Tensor& frequency, double original, const RopeScaling& s) {
  const at::Tensor wavelength = 2 * std::numbers::pi / frequency;
  const double factor = *s.factor;
  const at::Tensor smooth = (original / wavelength - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor);
  const at::Tensor between = (1 - smooth) * frequency / factor + smooth * frequency;
  const at::Tensor low = wavelength > original / s.low_freq_factor, high = wavelength < original / s.high_freq_factor;
  return at::where(low, frequency / factor, at::where(high, frequency, between));
}

at::Tensor yarn_frequencies(const at::Tensor& frequency, std::int64_t rotary, double theta, double original, double factor, const RopeScaling& s) {
  // The dimension that turns `turns` times over the original length.
  const auto dimension = [&](double turns) {
    return static_cast<double>(rotary) * std::log(original / (turns * 2 * std::numbers::pi)) / (2 * std::log(theta));
  };
  double low = dimension(s.beta_fast), high = dimension(s.beta_slow);
  if (s.truncate) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0), high = std::min(high, static_cast<double>(rotary - 1));
  if (low == high) high += 0.001;
  const at::Tensor ramp = ((at::arange(rotary / 2, at::kFloat) - low) / (high - low)).clamp(0, 1);
  return frequency / factor * ramp + frequency * (1 - ramp);
}

// float32 [rotary / 2], for a text of `length` tokens.
at::Tensor frequencies(const RopeSettings& rope, std::int64_t length) {
  const RopeScaling& s = rope.scaling;
  const std::int64_t original = original_length(s, rope.positions);
  const at::Tensor power = powers(rope.rotary, rope.theta), plain = at::reciprocal(power);
  switch (s.rope_type) {
    case RopeType::kDefault: break;
    case RopeType::kLinear: return plain / *s.factor;
    case RopeType::kLlama3: return llama3_frequencies(plain, static_cast<double>(original), s);
    case RopeType::kYarn: return yarn_frequencies(plain, rope.rotary, rope.theta, static_cast<double>(original), stretch(s, rope.positions), s);
    case RopeType::kDynamic: return length > rope.positions ? dynamic_frequencies(rope, length) : plain;
    case RopeType::kLongrope: return at::reciprocal(power * at::tensor(length > original ? s.long_factor : s.short_factor, at::kFloat));
  }
  return plain;
}

// Frequencies and angles in float32, as HF computes them: at position 2^17 a double's angle differs in the fourth digit.
RopeTable table_of(const at::Tensor& positions, const at::Tensor& frequency, double factor) {
  const at::Tensor angle = positions.to(at::kFloat).unsqueeze(1) * frequency.unsqueeze(0);
  return {angle.cos().mul_(factor), angle.sin().mul_(factor)};
}

// cos and sin of each token's position, or of one row's where all rows have the same: [tokens or seq, rotary / 2].
RopeTable at_positions(const RopeTable& table, const Positions& positions) {
  const bool packed = positions.of_token.defined();
  if (table.longer) {
    const std::int64_t length = packed ? positions.of_token.max().item<std::int64_t>() + 1 : positions.first + positions.seq;
    if (length > table.cos.size(0)) {
      const at::Tensor at = packed ? positions.of_token : at::arange(positions.first, length, at::kLong);
      return table_of(at, frequencies(*table.longer, length), attention_factor(table.longer->scaling, table.longer->positions));
    }
  }
  if (packed) return {table.cos.index_select(0, positions.of_token), table.sin.index_select(0, positions.of_token)};
  SLUICE_CHECK(positions.first + positions.seq <= table.cos.size(0), "positions beyond the rotary table");
  return {table.cos.narrow(0, positions.first, positions.seq), table.sin.narrow(0, positions.first, positions.seq)};
}

// The first 2 * half dimensions of `wide` [rows, seq, heads, head_dim] float32, given as their two halves, rotated.
std::vector<at::Tensor> rotate(const at::Tensor& a, const at::Tensor& b, const RopeTable& table, const Positions& positions) {
  const RopeTable here = at_positions(table, positions);
  const at::Tensor cos = here.cos.view({-1, a.size(1), 1, a.size(3)}), sin = here.sin.view({-1, a.size(1), 1, a.size(3)});  // [rows or 1, seq, 1, half]
  return {a * cos - b * sin, b * cos + a * sin};
}

}  // namespace

RopeTable make_rope_table(std::int64_t positions, std::int64_t rotary, double theta, const RopeScaling& scaling) {
  const RopeSettings rope{positions, rotary, theta, scaling};
  const bool by_length = scaling.rope_type == RopeType::kDynamic || scaling.rope_type == RopeType::kLongrope;
  const std::int64_t rows = scaling.rope_type == RopeType::kLongrope ? std::min(positions, original_length(scaling, positions)) : positions;
  RopeTable table = table_of(at::arange(rows, at::kLong), frequencies(rope, rows), attention_factor(scaling, positions));
  if (by_length) table.longer = rope;
  return table;
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
