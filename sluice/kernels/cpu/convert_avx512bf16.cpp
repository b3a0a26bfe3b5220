#include "sluice/kernels/cpu/convert.h"

#include "sluice/kernels/cpu/simd.h"

namespace sluice::kernels::cpu {
namespace {

template <class From, class To>
void convert(std::int64_t size, const From* from, To* to) {
#pragma omp parallel for schedule(static)
  for (std::int64_t i = 0; i < size / 16; ++i) store(to + 16 * i, load(from + 16 * i));
  const std::int64_t done = size / 16 * 16;
  const __mmask16 rest = lanes(size - done);
  store(to + done, load(from + done, rest), rest);
}

}  // namespace

void round_to_bf16(std::int64_t size, const float* from, Bf16* to, Workspace&) { convert(size, from, to); }
void widen_to_float(std::int64_t size, const Bf16* from, float* to, Workspace&) { convert(size, from, to); }

}  // namespace sluice::kernels::cpu
