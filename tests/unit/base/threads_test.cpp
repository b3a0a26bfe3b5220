#include "sluice/base/threads.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <vector>

namespace sluice {
namespace {

TEST(ForEachIndex, TakesEachIndexOnce) {
  for (const int threads : {-1, 1, 3, 8}) {
    std::vector<std::atomic<int>> calls(100);
    for_each_index(100, threads, [&](std::int64_t i) { ++calls[static_cast<std::size_t>(i)]; });
    for (const auto& count : calls) EXPECT_EQ(count, 1) << threads << " threads";
  }
  for_each_index(0, 4, [](std::int64_t) { FAIL() << "there is no index"; });
}

TEST(ForEachIndex, ThrowsTheFirstFailureWhenAllBeforeItIsDone) {
  for (int round = 0; round < 50; ++round) {
    std::vector<std::atomic<int>> calls(200);
    std::string failure;
    try {
      for_each_index(200, 4, [&](std::int64_t i) {
        if (i == 60 || i == 63 || i == 150) throw std::runtime_error(std::to_string(i));
        ++calls[static_cast<std::size_t>(i)];
      });
    } catch (const std::runtime_error& error) {
      failure = error.what();
    }
    EXPECT_EQ(failure, "60");
    for (std::size_t i = 0; i < 60; ++i) EXPECT_EQ(calls[i], 1);
  }
}

}  // namespace
}  // namespace sluice
