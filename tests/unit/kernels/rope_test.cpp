#include "sluice/kernels/cpu/rope.h"

#include "tests/unit/kernels/reference.h"

namespace sluice::kernels::cpu {
namespace {

class Rope : public Bf16KernelTest {};

struct Tables {
  std::vector<float> cosine, sine;
};
Tables tables(std::int64_t positions, std::int64_t half) {
  Tables out;
  for (std::int64_t p = 0; p < positions; ++p) {
    for (std::int64_t j = 0; j < half; ++j) {
      const double angle = static_cast<double>(p) * std::pow(10000.0, -static_cast<double>(j) / static_cast<double>(half));
      out.cosine.push_back(static_cast<float>(std::cos(angle)));
      out.sine.push_back(static_cast<float>(std::sin(angle)));
    }
  }
  return out;
}

TEST_F(Rope, TurnsPairsOfHalvesByThePositionsAngleAndLeavesTheRestAlone) {
  Workspace workspace;
  with_threads([&] {
    for (const RopeShape s : {RopeShape{9, 3, 64, 64, 0}, RopeShape{5, 2, 48, 20, 110}, RopeShape{1, 1, 2, 2, 0}}) {
      const std::int64_t half = s.rotary_dim / 2, stride = s.row_stride != 0 ? s.row_stride : s.heads * s.head_dim;
      const Tables t = tables(40, half);
      auto x = random_bf16(s.rows * stride, 1);
      const auto before = x;
      std::vector<std::int64_t> position;
      for (std::int64_t r = 0; r < s.rows; ++r) position.push_back((r * 7) % 40);
      Floats want = wide(x);
      for (std::int64_t r = 0; r < s.rows; ++r) {
        for (std::int64_t h = 0; h < s.heads; ++h) {
          for (std::int64_t j = 0; j < half; ++j) {
            const auto a = static_cast<std::size_t>(r * stride + h * s.head_dim + j), b = a + static_cast<std::size_t>(half);
            const auto at = static_cast<std::size_t>(position[static_cast<std::size_t>(r)] * half + j);
            const double c = value(t.cosine[at]), sn = value(t.sine[at]), xa = want[a], xb = want[b];
            want[a] = xa * c - xb * sn;
            want[b] = xb * c + xa * sn;
          }
        }
      }
      rope_inplace(s, t.cosine.data(), t.sine.data(), position.data(), RopeDirection::kForward, x.data(), workspace);
      expect_close(x, want, kBf16Out, "x");
      rope_inplace(s, t.cosine.data(), t.sine.data(), position.data(), RopeDirection::kInverse, x.data(), workspace);
      expect_close(x, wide(before), kBf16Chain, "turned back");
    }
  });
}

}  // namespace
}  // namespace sluice::kernels::cpu
