#include "sluice/base/threads.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace sluice {

void for_each_index(std::int64_t count, int num_threads, const std::function<void(std::int64_t)>& work) {
  std::atomic<std::int64_t> next = 0;
  std::mutex mutex;  // guards the two below
  std::exception_ptr failure;
  std::int64_t failed = count;
  const auto run = [&] {
    for (std::int64_t i = next++; i < count; i = next++) {
      try {
        work(i);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (i < failed) {
          failed = i;
          failure = std::current_exception();
        }
        next = count;
      }
    }
  };
  {
    std::vector<std::jthread> others;
    const std::int64_t num_others = std::min<std::int64_t>(num_threads, count) - 1;
    for (std::int64_t i = 0; i < num_others; ++i) others.emplace_back(run);
    run();
  }
  if (failure) std::rethrow_exception(failure);
}

int num_processors() { return std::max(1, static_cast<int>(std::thread::hardware_concurrency())); }

}  // namespace sluice
