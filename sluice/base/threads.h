// Work on several threads whose results do not depend on their number.
#pragma once
#include <cstdint>
#include <functional>

namespace sluice {

// Calls `work(i)` for every i in [0, count) on up to `num_threads` threads, this one among them; the indices are taken in rising order.
// When a call throws, no further index is taken, and the exception of the lowest index that failed is thrown at the end: all work on
// lower indices has been done.
void for_each_index(std::int64_t count, int num_threads, const std::function<void(std::int64_t)>& work);

// The threads that this machine runs at once; at least 1.
int num_processors();

}  // namespace sluice
