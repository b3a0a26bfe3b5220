#include "sluice/kernels/cpu/few_rows.h"

#include "tests/unit/kernels/reference.h"

namespace sluice::kernels::cpu {
namespace {

class FewRows : public Bf16KernelTest {};

template <class Out>
void check(std::int64_t rows, std::int64_t in, std::int64_t out) {
  const auto x = random_bf16(rows * in, 1), w = random_bf16(out * in, 2);
  std::vector<Out> y(static_cast<std::size_t>(rows * out));
  few_rows_forward(rows, in, out, x.data(), w.data(), y.data());
  const Floats xs = wide(x), ws = wide(w);
  const Floats want = product(rows, out, in, {xs.data(), in, 1}, {ws.data(), in, 1});
  expect_close(y, want, sizeof(Out) == 2 ? kBf16Out : kFloatSum, "y, rows " + std::to_string(rows) + " in " + std::to_string(in) + " out " + std::to_string(out));
}

TEST_F(FewRows, EqualsAPlainProductAtEverySize) {
  for (const std::int64_t rows : {0, 1, 2, 3, 8}) {
    for (const std::int64_t in : {1, 31, 32, 33, 512, 1000}) {
      for (const std::int64_t out : {1, 3, 4, 5, 130}) {
        check<Bf16>(rows, in, out);
        check<float>(rows, in, out);
      }
    }
  }
}

TEST_F(FewRows, ARowDoesNotDependOnTheOthers) {
  const std::int64_t in = 100, out = 37;
  const auto x = random_bf16(5 * in, 3), w = random_bf16(out * in, 4);
  std::vector<float> together(static_cast<std::size_t>(5 * out)), alone(static_cast<std::size_t>(out));
  few_rows_forward(5, in, out, x.data(), w.data(), together.data());
  for (std::int64_t r = 0; r < 5; ++r) {
    few_rows_forward(1, in, out, x.data() + r * in, w.data(), alone.data());
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(), together.begin() + r * out));
  }
}

}  // namespace
}  // namespace sluice::kernels::cpu
