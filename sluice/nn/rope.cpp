#include "sluice/nn/rope.h"

#include <cmath>

namespace sluice::nn {

RopeTable make_rope_table(std::int64_t positions, std::int64_t rotary, double theta) {
  const std::int64_t half = rotary / 2;
  // Frequencies and angles in float32, as HF computes them: at position 2^17 a double's angle differs in the fourth digit.
  const at::Tensor exponent = at::arange(0, rotary, 2, at::kFloat) / static_cast<double>(rotary);
  const at::Tensor frequency = at::reciprocal(at::pow(theta, exponent));  // [half]
  const at::Tensor angle = at::arange(positions, at::kFloat).unsqueeze(1) * frequency.view({1, half});
  return {angle.cos(), angle.sin()};
}

at::Tensor apply_rope(const at::Tensor& x, const RopeTable& table, std::int64_t seq, std::int64_t first_position) {
  const std::int64_t half = table.cos.size(1), rows = x.size(0) / seq;
  const auto rows_of = [&](const at::Tensor& t) { return t.narrow(0, first_position, seq).view({1, seq, 1, half}); };
  const at::Tensor cos = rows_of(table.cos), sin = rows_of(table.sin);
  const at::Tensor wide = x.to(at::kFloat).view({rows, seq, x.size(1), x.size(2)});
  const at::Tensor a = wide.narrow(3, 0, half), b = wide.narrow(3, half, half);
  std::vector<at::Tensor> parts{a * cos - b * sin, b * cos + a * sin};
  if (2 * half < x.size(2)) parts.push_back(wide.narrow(3, 2 * half, x.size(2) - 2 * half));
  return at::cat(parts, 3).view(x.sizes()).to(x.scalar_type());
}

}  // namespace sluice::nn
