#include "sluice/kernels/cpu/cpu_features.h"

#include <gtest/gtest.h>

#include <string>

#include "sluice/base/error.h"
#include "sluice/base/file.h"
#include "sluice/kernels/cpu/workspace.h"

namespace sluice::kernels::cpu {
namespace {

// /proc/cpuinfo lists what the kernel found and lets programs use.
bool listed(const std::string& flag) {
  std::string line;
  for (LineReader reader("/proc/cpuinfo"); reader.next(line);) {
    if (line.starts_with("flags")) return (line + " ").find(" " + flag + " ") != std::string::npos;
  }
  return false;
}

TEST(CpuFeatures, AgreeWithTheOperatingSystem) {
  EXPECT_EQ(has_avx512(), listed("avx512f"));
  EXPECT_EQ(has_avx512_bf16(),
            listed("avx512f") && listed("avx512bw") && listed("avx512dq") && listed("avx512vl") && listed("avx512_bf16"));
}

TEST(Workspace, ExistsOnlyWhereTheCpuCanRunTheKernels) {
  if (has_avx512_bf16()) {
    EXPECT_EQ(Workspace().size_bytes(), 0);
  } else {
    EXPECT_THROW(Workspace(), Bug);
  }
}

TEST(Workspace, HoldsOneBlockOnceItHasSeenTheLargestCall) {
  if (!has_avx512_bf16()) GTEST_SKIP() << "this CPU has no AVX512_BF16";
  Workspace workspace;
  const auto call = [&] {
    workspace.begin();
    auto* a = static_cast<std::byte*>(workspace.take(10000));
    auto* b = static_cast<std::byte*>(workspace.take(30000));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(a) % 64, 0);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(b) % 64, 0);
    EXPECT_TRUE(b >= a + 10000 || a >= b + 30000) << "the two overlap";
    return a;
  };
  call();
  std::byte* const second = call();
  const std::size_t size = workspace.size_bytes();
  EXPECT_EQ(call(), second);
  EXPECT_EQ(workspace.size_bytes(), size);
}

}  // namespace
}  // namespace sluice::kernels::cpu
