#include "sluice/kernels/cpu/bf16.h"

#include <limits>

#include "sluice/kernels/cpu/convert.h"
#include "tests/unit/kernels/reference.h"

namespace sluice::kernels::cpu {
namespace {

TEST(Bf16, RoundsToNearestWithTiesToEven) {
  EXPECT_EQ(to_bf16(1.0f), 0x3f80);
  EXPECT_EQ(to_bf16(1.00390625f), 0x3f80);  // 1 + 2^-8, half way: to the even one below
  EXPECT_EQ(to_bf16(1.01171875f), 0x3f82);  // 1 + 3 * 2^-8, half way: to the even one above
  EXPECT_EQ(to_bf16(1.0040f), 0x3f81);      // just past half way
  EXPECT_EQ(to_bf16(-0.0f), 0x8000);
  EXPECT_EQ(to_bf16(std::numeric_limits<float>::max()), 0x7f80);  // past the largest bf16: infinity
  EXPECT_TRUE(std::isnan(to_float(to_bf16(std::numeric_limits<float>::quiet_NaN()))));
}

class Convert : public Bf16KernelTest {};

TEST_F(Convert, EqualsTheScalarRoundingAtEverySize) {
  Workspace workspace;
  for (const std::int64_t n : {0, 1, 15, 16, 17, 1000}) {
    const auto from = random_floats(n, 1, 1e3);
    std::vector<Bf16> to(from.size());
    std::vector<float> back(from.size());
    round_to_bf16(n, from.data(), to.data(), workspace);
    widen_to_float(n, to.data(), back.data(), workspace);
    for (std::size_t i = 0; i < from.size(); ++i) {
      EXPECT_EQ(to[i], to_bf16(from[i]));
      EXPECT_EQ(back[i], to_float(to[i]));
    }
  }
}

}  // namespace
}  // namespace sluice::kernels::cpu
