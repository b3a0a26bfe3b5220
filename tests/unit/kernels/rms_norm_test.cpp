#include "sluice/kernels/cpu/rms_norm.h"

#include "tests/unit/kernels/reference.h"

namespace sluice::kernels::cpu {
namespace {

class RmsNorm : public Bf16KernelTest {};

struct Shape {
  std::int64_t rows, hidden;
};
const std::vector<Shape> kShapes = {{1, 3}, {3, 15}, {17, 64}, {40, 100}, {1100, 33}, {0, 8}};
constexpr float kEps = 1e-5f;

struct Reference {
  Floats y, rstd, dx, dw;
};
Reference reference(const Shape& s, const Floats& x, const Floats& w, const Floats& dy) {
  Reference out;
  out.dw.assign(static_cast<std::size_t>(s.hidden), 0);
  for (std::int64_t r = 0; r < s.rows; ++r) {
    const auto at = [&](std::int64_t j) { return static_cast<std::size_t>(r * s.hidden + j); };
    const auto n = static_cast<double>(s.hidden);
    double squares = 0, dot = 0;
    for (std::int64_t j = 0; j < s.hidden; ++j) squares += x[at(j)] * x[at(j)];
    const double rstd = 1 / std::sqrt(squares / n + static_cast<double>(kEps));
    out.rstd.push_back(rstd);
    for (std::int64_t j = 0; j < s.hidden; ++j) {
      const auto c = static_cast<std::size_t>(j);
      out.y.push_back(x[at(j)] * rstd * w[c]);
      dot += dy[at(j)] * w[c] * x[at(j)];
      out.dw[c] += dy[at(j)] * x[at(j)] * rstd;
    }
    for (std::int64_t j = 0; j < s.hidden; ++j) {
      out.dx.push_back(rstd * dy[at(j)] * w[static_cast<std::size_t>(j)] - x[at(j)] * rstd * rstd * rstd * dot / n);
    }
  }
  return out;
}

template <class T>
std::vector<T> random_values(std::int64_t n, std::uint64_t seed) {
  if constexpr (sizeof(T) == 2) {
    return random_bf16(n, seed);
  } else {
    return random_floats(n, seed);
  }
}

template <class Gradient, class Weight>
void check(const Shape& s, Workspace& workspace) {
  SCOPED_TRACE("rows " + std::to_string(s.rows) + " hidden " + std::to_string(s.hidden));
  const auto x = random_floats(s.rows * s.hidden, 1, 3);
  const auto w = random_values<Weight>(s.hidden, 2);
  const auto dy = random_values<Gradient>(s.rows * s.hidden, 3);
  const Reference want = reference(s, wide(x), wide(w), wide(dy));
  std::vector<Bf16> y(x.size());
  std::vector<float> rstd(static_cast<std::size_t>(s.rows)), dx(x.size(), NAN), dw(w.size(), 5);
  rms_norm_forward(s.rows, s.hidden, kEps, x.data(), w.data(), y.data(), rstd.data(), workspace);
  expect_close(y, want.y, kBf16Out, "y");
  expect_close(rstd, want.rstd, kFloatSum, "rstd");

  rms_norm_backward(s.rows, s.hidden, dy.data(), x.data(), rstd.data(), w.data(), WriteMode::kReplace, dx.data(), dw.data(), workspace);
  Floats dw_want = want.dw, twice = want.dx;
  for (double& v : dw_want) v += 5;
  for (double& v : twice) v *= 2;
  expect_close(dx, want.dx, kFloatSum, "dx replaced");
  expect_close(dw, dw_want, kFloatSum, "dw");
  float* const frozen = nullptr;
  rms_norm_backward(s.rows, s.hidden, dy.data(), x.data(), rstd.data(), w.data(), WriteMode::kAdd, dx.data(), frozen, workspace);
  expect_close(dx, twice, kFloatSum, "dx added to");
}

TEST_F(RmsNorm, EqualsTheFormulaForEveryTypeAndSize) {
  Workspace workspace;
  with_threads([&] {
    for (const Shape& s : kShapes) {
      check<Bf16, Bf16>(s, workspace);
      check<Bf16, float>(s, workspace);
      check<float, Bf16>(s, workspace);
      check<float, float>(s, workspace);
    }
  });
}

TEST_F(RmsNorm, WeightGradientsBitsDoNotDependOnTheNumberOfThreads) {
  Workspace workspace;
  const Shape s{3000, 40};
  const auto x = random_floats(s.rows * s.hidden, 4), dy = random_floats(s.rows * s.hidden, 5), w = random_floats(s.hidden, 6);
  const auto rstd = random_floats(s.rows, 7);
  std::vector<std::vector<float>> results;
  with_threads([&] {
    results.emplace_back(w.size());
    std::vector<float> dx(x.size());
    rms_norm_backward(s.rows, s.hidden, dy.data(), x.data(), rstd.data(), w.data(), WriteMode::kReplace, dx.data(), results.back().data(),
                      workspace);
    EXPECT_EQ(results.back(), results.front());
  });
}

}  // namespace
}  // namespace sluice::kernels::cpu
