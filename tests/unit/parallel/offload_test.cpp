// Buffers and activations in files: the same bytes, and out of memory.
#include "sluice/parallel/offload.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>

#include "sluice/base/error.h"
#include "sluice/parallel/activation_file.h"

namespace sluice::parallel {
namespace {

// A folder beside the test's program, which lies on a disk.
fs::path folder() { return fs::read_symlink("/proc/self/exe").parent_path(); }

std::int64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::int64_t all = 0, resident = 0;
  statm >> all >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

TEST(DiskBuffers, WhatIsReleasedLeavesMemoryAndIsFoundAgain) {
  constexpr std::int64_t kCount = 8 << 20;
  DiskBuffers buffers(folder());
  const at::Tensor values = buffers.zeros(kCount, at::kFloat), half = buffers.zeros(kCount, at::kBFloat16);
  EXPECT_EQ(values.sum().item<double>(), 0);
  values.copy_(at::arange(kCount, at::kFloat));
  half.fill_(3);
  const std::int64_t before = resident_bytes();
  buffers.release(0, kCount);
  EXPECT_GT(before - resident_bytes(), kCount * 6 - (1 << 20));
  buffers.expect(kCount / 2, 2 * kCount);
  EXPECT_TRUE(at::equal(values, at::arange(kCount, at::kFloat)));
  EXPECT_EQ(half.to(at::kFloat).sum().item<double>(), 3.0 * kCount);
}

TEST(DiskBuffers, ReleaseAPartAlone) {
  constexpr std::int64_t kCount = 4 << 20;
  DiskBuffers buffers(folder());
  const at::Tensor values = buffers.zeros(kCount, at::kFloat);
  values.fill_(1);
  const std::int64_t before = resident_bytes();
  buffers.release(kCount / 4, kCount / 2);
  EXPECT_NEAR(static_cast<double>(before - resident_bytes()), static_cast<double>(kCount), 1 << 19);
  EXPECT_EQ(values.sum().item<double>(), kCount);
}

TEST(DiskBuffers, RefusesAFolderThatIsNoneOrLiesInMemory) {
  EXPECT_THROW(DiskBuffers(folder() / "absent").zeros(10, at::kFloat), Error);
  if (!fs::is_directory("/dev/shm")) return;
  EXPECT_THROW(DiskBuffers("/dev/shm").zeros(10, at::kFloat), Error);
}

TEST(ActivationFile, GivesBackWhatItKeptAndUsesItsPlaceAgain) {
  nn::ParameterStore store({{"w", {4, 4}}});
  store.allocate_for_training(nn::Precision::kFloat32, [](const std::string&) { return false; });
  const std::int64_t open_before = std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
  {
    ActivationFile file(folder(), store);
    EXPECT_FALSE(file.keep(at::zeros({100}, at::kByte))) << "too small to be worth it";
    at::manual_seed(2);
    for (int round = 0; round < 3; ++round) {
      std::vector<at::Tensor> values;
      std::vector<nn::Restore> kept;
      for (const std::int64_t size : {1 << 16, 100001, 3 << 20, 70000}) {
        values.push_back(at::randint(0, 256, {size}, at::kByte));
        kept.push_back(file.keep(values.back()));
        ASSERT_TRUE(kept.back());
      }
      kept.erase(kept.begin() + 1);  // a graph that is thrown away asks for nothing
      values.erase(values.begin() + 1);
      for (std::size_t i = kept.size(); i-- > 0;) EXPECT_TRUE(at::equal(kept[i](), values[i]));
    }
  }
  EXPECT_EQ(std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()), open_before);
  for (const auto& entry : fs::directory_iterator(folder())) EXPECT_FALSE(entry.path().filename().string().starts_with("sluice-offload")) << entry.path();
}

}  // namespace
}  // namespace sluice::parallel
