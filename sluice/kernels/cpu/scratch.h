// Typed scratch from a Workspace, one piece for all threads or one for each. Include only from *_avx512bf16.cpp.
#pragma once
#include <omp.h>

#include <cstdint>

#include "sluice/kernels/cpu/workspace.h"

namespace sluice::kernels::cpu {

template <class T>
inline T* take_scratch(Workspace& workspace, std::int64_t count) {
  return static_cast<T*>(workspace.take(static_cast<std::size_t>(count) * sizeof(T)));
}

template <class T>
struct PerThread {
  T* first = nullptr;
  std::int64_t stride = 0;
  T* mine() const { return first + omp_get_thread_num() * stride; }
};

template <class T>
inline PerThread<T> take_per_thread(Workspace& workspace, std::int64_t count) {
  const std::int64_t stride = (count + 63) / 64 * 64 + 64;  // no cache line shared
  return {take_scratch<T>(workspace, stride * omp_get_max_threads()), stride};
}

}  // namespace sluice::kernels::cpu
