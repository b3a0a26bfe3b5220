#include "sluice/kernels/cpu/linear.h"

#include "tests/unit/kernels/reference.h"

namespace sluice::kernels::cpu {
namespace {

class Linear : public Bf16KernelTest {};

// Every size: ones, odd, around 16, 32 and 64, several row blocks, and a depth past one packed panel's.
const std::vector<LinearShape> kShapes = {{1, 1, 1},     {1, 3, 2},      {5, 7, 9},      {6, 64, 64},    {7, 65, 63},
                                          {13, 33, 130}, {64, 31, 17},   {97, 96, 48},   {200, 130, 70}, {3, 4131, 5},
                                          {2, 5, 9001},  {1100, 20, 66}, {2100, 9, 200}, {0, 8, 8}};

std::string name(const LinearShape& s) {
  return "rows " + std::to_string(s.rows) + " in " + std::to_string(s.in) + " out " + std::to_string(s.out);
}

template <class Out>
void check_forward(const LinearShape& s, Workspace& workspace) {
  const auto x = random_bf16(s.rows * s.in, 1), w = random_bf16(s.out * s.in, 2);
  std::vector<Out> y(static_cast<std::size_t>(s.rows * s.out));
  linear_forward(s, x.data(), w.data(), y.data(), workspace);
  const Floats xs = wide(x), ws = wide(w);
  const Floats want = product(s.rows, s.out, s.in, {xs.data(), s.in, 1}, {ws.data(), s.in, 1});
  expect_close(y, want, sizeof(Out) == 2 ? kBf16Out : kFloatSum, "y, " + name(s));
}

TEST_F(Linear, ForwardEqualsAPlainProductAtEverySize) {
  Workspace workspace;
  with_threads([&] {
    for (const LinearShape& s : kShapes) {
      check_forward<Bf16>(s, workspace);
      check_forward<float>(s, workspace);
    }
  });
}

template <class Out>
void check_input_gradient(const LinearShape& s, Workspace& workspace) {
  const auto dy = random_bf16(s.rows * s.out, 3), w = random_bf16(s.out * s.in, 4);
  std::vector<Out> dx(static_cast<std::size_t>(s.rows * s.in));
  linear_input_gradient(s, dy.data(), w.data(), dx.data(), workspace);
  const Floats dys = wide(dy), ws = wide(w);
  const Floats want = product(s.rows, s.in, s.out, {dys.data(), s.out, 1}, {ws.data(), 1, s.in});
  expect_close(dx, want, sizeof(Out) == 2 ? kBf16Out : kFloatSum, "dx, " + name(s));
}

TEST_F(Linear, InputGradientEqualsAPlainProductAtEverySize) {
  Workspace workspace;
  with_threads([&] {
    for (const LinearShape& s : kShapes) {
      check_input_gradient<Bf16>(s, workspace);
      check_input_gradient<float>(s, workspace);
    }
  });
}

TEST_F(Linear, WeightGradientIsAddedToWhatWasThere) {
  Workspace workspace;
  with_threads([&] {
    for (const LinearShape& s : kShapes) {
      const auto dy = random_bf16(s.rows * s.out, 5), x = random_bf16(s.rows * s.in, 6);
      auto dw = random_floats(s.out * s.in, 7);
      const Floats before = wide(dw), dys = wide(dy), xs = wide(x);
      linear_weight_gradient(s, dy.data(), x.data(), dw.data(), workspace);
      Floats want = product(s.out, s.in, s.rows, {dys.data(), 1, s.out}, {xs.data(), 1, s.in});
      for (std::size_t i = 0; i < want.size(); ++i) want[i] += before[i];
      expect_close(dw, want, kFloatSum, "dw, " + name(s));
    }
  });
}

TEST_F(Linear, ResidualIsAddedInFloat32AndMayBeTheOutput) {
  Workspace workspace;
  const LinearShape s{37, 50, 70};
  const auto x = random_bf16(s.rows * s.in, 8), w = random_bf16(s.out * s.in, 9);
  auto y = random_floats(s.rows * s.out, 10, 100);
  const Floats before = wide(y), xs = wide(x), ws = wide(w);
  linear_forward_residual(s, x.data(), w.data(), y.data(), y.data(), workspace);
  Floats want = product(s.rows, s.out, s.in, {xs.data(), s.in, 1}, {ws.data(), s.in, 1});
  for (std::size_t i = 0; i < want.size(); ++i) want[i] += before[i];
  expect_close(y, want, kFloatSum, "y");
}

TEST_F(Linear, StridesReachIntoWiderBuffersAndLeaveTheRestAlone) {
  Workspace workspace;
  LinearShape s{19, 21, 35};
  s.in_stride = 40;
  s.out_stride = 101;
  const auto x = random_bf16(s.rows * s.in_stride, 11), w = random_bf16(s.out * s.in, 12), dy = random_bf16(s.rows * s.out_stride, 13);
  const Floats xs = wide(x), ws = wide(w), dys = wide(dy);
  std::vector<float> y(static_cast<std::size_t>(s.rows * s.out_stride), 7), dx(static_cast<std::size_t>(s.rows * s.in_stride), 7);
  std::vector<float> dw(static_cast<std::size_t>(s.out * s.in), 0);
  linear_forward(s, x.data(), w.data(), y.data(), workspace);
  linear_input_gradient(s, dy.data(), w.data(), dx.data(), workspace);
  linear_weight_gradient(s, dy.data(), x.data(), dw.data(), workspace);
  const auto narrow_rows = [&](const std::vector<float>& wide_rows, std::int64_t stride, std::int64_t columns) {
    std::vector<float> out;
    for (std::int64_t r = 0; r < s.rows; ++r) {
      for (std::int64_t c = 0; c < stride; ++c) {
        const float v = wide_rows[static_cast<std::size_t>(r * stride + c)];
        if (c < columns) {
          out.push_back(v);
        } else {
          EXPECT_EQ(v, 7) << "row " << r << " column " << c;
        }
      }
    }
    return out;
  };
  expect_close(narrow_rows(y, s.out_stride, s.out), product(s.rows, s.out, s.in, {xs.data(), s.in_stride, 1}, {ws.data(), s.in, 1}),
               kFloatSum, "y");
  expect_close(narrow_rows(dx, s.in_stride, s.in), product(s.rows, s.in, s.out, {dys.data(), s.out_stride, 1}, {ws.data(), 1, s.in}),
               kFloatSum, "dx");
  expect_close(dw, product(s.out, s.in, s.rows, {dys.data(), 1, s.out_stride}, {xs.data(), 1, s.in_stride}), kFloatSum, "dw");
}

TEST_F(Linear, BitsDoNotDependOnTheNumberOfThreads) {
  Workspace workspace;
  const LinearShape s{1500, 70, 190};
  const auto x = random_bf16(s.rows * s.in, 14), w = random_bf16(s.out * s.in, 15), dy = random_bf16(s.rows * s.out, 16);
  std::vector<std::vector<float>> ys, dws;
  with_threads([&] {
    ys.emplace_back(static_cast<std::size_t>(s.rows * s.out));
    dws.emplace_back(static_cast<std::size_t>(s.out * s.in));
    linear_forward(s, x.data(), w.data(), ys.back().data(), workspace);
    linear_weight_gradient(s, dy.data(), x.data(), dws.back().data(), workspace);
    EXPECT_EQ(ys.back(), ys.front());
    EXPECT_EQ(dws.back(), dws.front());
  });
}

TEST_F(Linear, ANotANumberReachesItsRowAndNoOther) {
  Workspace workspace;
  const LinearShape s{9, 15, 20};
  auto x = random_bf16(s.rows * s.in, 17);
  const auto w = random_bf16(s.out * s.in, 18);
  x[static_cast<std::size_t>(4 * s.in + 14)] = to_bf16(NAN);
  std::vector<float> y(static_cast<std::size_t>(s.rows * s.out));
  linear_forward(s, x.data(), w.data(), y.data(), workspace);
  for (std::size_t i = 0; i < y.size(); ++i) EXPECT_EQ(std::isnan(y[i]), i / 20 == 4) << i;
}

}  // namespace
}  // namespace sluice::kernels::cpu
