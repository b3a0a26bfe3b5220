#include "sluice/kernels/cpu/adamw.h"

#include "sluice/kernels/cpu/flat_blocks.h"
#include "sluice/kernels/cpu/sum_of_squares.h"
#include "tests/unit/kernels/reference.h"

namespace sluice::kernels::cpu {
namespace {

const std::vector<std::int64_t> kSizes = {0, 1, 15, 16, 17, 4095, 4097, 70001};

struct State {
  std::vector<float> master, m, v;
  std::vector<Bf16> compute;
  explicit State(std::int64_t n) : master(random_floats(n, 1)), m(master.size(), 0), v(master.size(), 0), compute(master.size()) {}
};

AdamwSettings settings_at(int step) {
  AdamwSettings s;
  s.lr = 3e-3;
  s.weight_decay = 0.1;
  s.grad_scale = 0.37;
  s.bias_correction1 = 1 - std::pow(s.beta1, step);
  s.bias_correction2 = 1 - std::pow(s.beta2, step);
  return s;
}

TEST(Adamw, FiveStepsEqualTorchsFormulaInDouble) {
  with_threads([] {
    for (const std::int64_t n : kSizes) {
      State state(n);
      Floats p = wide(state.master), m(p.size(), 0), v(p.size(), 0);
      for (int step = 1; step <= 5; ++step) {
        const AdamwSettings s = settings_at(step);
        const auto grad = random_floats(n, static_cast<std::uint64_t>(10 + step));
        adamw_step(s, n, state.master.data(), state.m.data(), state.v.data(), grad.data(), state.compute.data());
        for (std::size_t i = 0; i < p.size(); ++i) {
          const double g = value(grad[i]) * s.grad_scale;
          p[i] *= 1 - s.lr * s.weight_decay;
          m[i] += (1 - s.beta1) * (g - m[i]);
          v[i] = v[i] * s.beta2 + (1 - s.beta2) * g * g;
          p[i] -= s.lr / s.bias_correction1 * m[i] / (std::sqrt(v[i]) / std::sqrt(s.bias_correction2) + s.eps);
        }
      }
      // Five steps of float32 rounding (6e-8 each) against double.
      expect_close(state.master, p, {3e-7, 3e-7}, "master");
      expect_close(state.m, m, {1e-6, 1e-6}, "m");
      expect_close(state.v, v, {1e-6, 1e-6}, "v");
      for (std::size_t i = 0; i < p.size(); ++i) ASSERT_EQ(state.compute[i], to_bf16(state.master[i])) << i;
    }
  });
}

// tests/unit/kernels/record_adamw.py printed these with torch 2.13: three steps of torch.optim.AdamW in float32, lr 0.01, weight_decay 0.1.
TEST(Adamw, EqualsTorchToTheLastBits) {
  const std::vector<float> start = {1.0f, -2.0f, 0.5f, 3e-3f, -7.25f};
  const std::vector<std::vector<float>> grads = {
      {0.1f, -0.2f, 3.0f, 1e-6f, 0.0f}, {-0.3f, 0.7f, 2.0f, 1e-7f, 5.0f}, {0.25f, 0.1f, -9.0f, 0.0f, -1.0f}};
  const std::vector<float> want = {0.990993023f, -1.99427652f, 0.481970936f, -0.0198175851f, -7.24009323f};
  std::vector<float> p = start, m(5, 0), v(5, 0);
  for (int step = 1; step <= 3; ++step) {
    AdamwSettings s = settings_at(step);
    s.lr = 0.01;
    s.grad_scale = 1;
    adamw_step(s, 5, p.data(), m.data(), v.data(), grads[static_cast<std::size_t>(step - 1)].data(), nullptr);
  }
  for (std::size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(p[i], want[i], 1e-7 * std::fabs(value(want[i]))) << i;
}

TEST(Adamw, Avx512AndPlainGiveTheSameBits) {
  if (!has_avx512()) GTEST_SKIP() << "this CPU has no AVX-512";
  const AdamwFactors f{0.37f, 0.999f, 0.1f, 0.999f, 0.001f, 0.03f, 1e-8f, 0.02f};
  for (const std::int64_t n : kSizes) {
    State a(n), b(n);
    auto grad = random_floats(n, 20);
    if (n > 16) grad[16] = NAN;
    adamw_block_plain(f, n, a.master.data(), a.m.data(), a.v.data(), grad.data(), a.compute.data());
    adamw_block_avx512(f, n, b.master.data(), b.m.data(), b.v.data(), grad.data(), b.compute.data());
    for (std::size_t i = 0; i < a.master.size(); ++i) {
      if (std::isnan(grad[i])) {
        ASSERT_TRUE(std::isnan(b.master[i]) && std::isnan(to_float(b.compute[i])) && std::isnan(to_float(a.compute[i])));
        continue;
      }
      ASSERT_EQ(a.master[i], b.master[i]) << n << " " << i;
      ASSERT_EQ(a.m[i], b.m[i]) << n << " " << i;
      ASSERT_EQ(a.v[i], b.v[i]) << n << " " << i;
      ASSERT_EQ(a.compute[i], b.compute[i]) << n << " " << i;
    }
  }
}

TEST(SumOfSquares, EqualsADoubleSumWithTheSameBitsForEveryThreadCountAndPath) {
  for (const std::int64_t n : {0L, 1L, 17L, 65536L, 200003L}) {
    const auto x = random_floats(n, 30);
    double want = 0;
    for (const float v : x) want += value(v) * value(v);
    const double first = sum_of_squares(x.data(), n);
    EXPECT_NEAR(first, want, 1e-12 * want);
    with_threads([&] { EXPECT_EQ(sum_of_squares(x.data(), n), first); });
    if (has_avx512()) {
      EXPECT_EQ(sum_block_plain(x.data(), n), sum_block_avx512(x.data(), n));
    }
  }
}

}  // namespace
}  // namespace sluice::kernels::cpu
