// What the kernels' tests share: random bf16 data, plain double-precision products, and how far apart two results may lie.
#pragma once
#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "sluice/base/rng.h"
#include "sluice/kernels/cpu/bf16.h"
#include "sluice/kernels/cpu/cpu_features.h"

namespace sluice::kernels::cpu {

// The largest difference allowed: a share of the value (roundings of the result) and a share of the reference's root mean square (sums,
// where a value may be near zero by cancellation).
struct Tolerance {
  double of_value, of_rms;
};
// bf16 inputs are exact and products are summed in float32: only the order of the sum differs.
constexpr Tolerance kFloatSum{1e-6, 2e-5};
// The same, rounded once to bf16: half of its last bit is 2^-9 to 2^-8 of the value.
constexpr Tolerance kBf16Out{0x1p-8, 2e-5};
// Intermediate values rounded to bf16 (h, the gradient of gate and up, probabilities): their errors average out in the sums. The result may
// be rounded to bf16 too.
constexpr Tolerance kBf16Chain{0x1p-7, 1.2e-2};
// float32 throughout, but for a sigmoid that is exact to 1e-4.
constexpr Tolerance kShortSigmoid{1e-4, 3e-4};

using Floats = std::vector<double>;

inline std::vector<Bf16> random_bf16(std::int64_t n, std::uint64_t seed, double scale = 1) {
  Rng rng(seed, 1);
  std::vector<Bf16> out(static_cast<std::size_t>(n));
  for (Bf16& x : out) x = to_bf16(static_cast<float>(rng.normal() * scale));
  return out;
}
inline std::vector<float> random_floats(std::int64_t n, std::uint64_t seed, double scale = 1) {
  Rng rng(seed, 2);
  std::vector<float> out(static_cast<std::size_t>(n));
  for (float& x : out) x = static_cast<float>(rng.normal() * scale);
  return out;
}

inline double value(double x) { return x; }
inline double value(float x) { return x; }
inline double value(Bf16 x) { return to_float(x); }
template <class T>
Floats wide(const std::vector<T>& x) {
  Floats out;
  for (const T v : x) out.push_back(value(v));
  return out;
}

// sum over k of a[i * ai + k * ak] * b[j * bj + k * bk], as [rows, columns].
struct Strided {
  const double* data;
  std::int64_t outer, inner;
};
inline Floats product(std::int64_t rows, std::int64_t columns, std::int64_t depth, Strided a, Strided b) {
  Floats out;
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      double sum = 0;
      for (std::int64_t k = 0; k < depth; ++k) sum += a.data[i * a.outer + k * a.inner] * b.data[j * b.outer + k * b.inner];
      out.push_back(sum);
    }
  }
  return out;
}

template <class T>
void expect_close(const std::vector<T>& got, const Floats& want, const Tolerance& tolerance, const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  double squares = 0;
  for (const double x : want) squares += x * x;
  const double rms = std::sqrt(squares / std::max<double>(1, static_cast<double>(want.size())));
  for (std::size_t i = 0; i < want.size(); ++i) {
    const double limit = tolerance.of_value * std::fabs(want[i]) + tolerance.of_rms * rms + 1e-30;
    // Written so that a NaN fails.
    if (!(std::fabs(value(got[i]) - want[i]) <= limit)) {
      FAIL() << what << " [" << i << "] = " << value(got[i]) << ", the reference has " << want[i] << ", allowed is " << limit;
    }
  }
}

// The thread sanitizer takes the barriers of an uninstrumented libgomp for none at all, so under it one thread must do.
#ifdef __SANITIZE_THREAD__
inline const std::vector<int> kThreadCounts = {1};
inline const bool kOneThreadSet = (omp_set_num_threads(1), true);
#else
inline const std::vector<int> kThreadCounts = {1, 2, 4};
#endif

// Runs the test's body under 1, 2 and 4 threads.
template <class Body>
void with_threads(Body body) {
  const int before = omp_get_max_threads();
  for (const int threads : kThreadCounts) {
    SCOPED_TRACE("threads " + std::to_string(threads));
    omp_set_num_threads(threads);
    body();
  }
  omp_set_num_threads(before);
}

// The fixture of every bf16 kernel's test.
class Bf16KernelTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_avx512_bf16()) GTEST_SKIP() << "this CPU has no AVX512_BF16";
  }
};

}  // namespace sluice::kernels::cpu
