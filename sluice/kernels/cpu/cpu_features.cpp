#include "sluice/kernels/cpu/cpu_features.h"

#include <cpuid.h>

#include <cstdint>

namespace sluice::kernels::cpu {
namespace {

struct Registers {
  std::uint32_t a = 0, b = 0, c = 0, d = 0;
};

Registers cpuid(std::uint32_t leaf, std::uint32_t subleaf) {
  Registers r;
  if (__get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d) == 0) return {};
  return r;
}

bool has(std::uint32_t word, int bit) { return (word >> bit & 1u) != 0; }

// The operating system saves the SSE, AVX, mask and 512-bit registers (XCR0 bits 1, 2, 5, 6, 7; Intel SDM volume 1, 15.2).
bool saves_avx512() {
  if (!has(cpuid(1, 0).c, 27)) return false;  // OSXSAVE: XGETBV may be used
  std::uint32_t low = 0, high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & 0xe6u) == 0xe6u;
}

// Bits of leaf 7 (Intel SDM volume 2A, CPUID): EBX 16 F, 17 DQ, 30 BW, 31 VL; subleaf 1 EAX 5 BF16.
bool find_avx512() { return saves_avx512() && has(cpuid(7, 0).b, 16); }

bool find_avx512_bf16() {
  const std::uint32_t b = cpuid(7, 0).b;
  return find_avx512() && has(b, 17) && has(b, 30) && has(b, 31) && has(cpuid(7, 1).a, 5);
}

}  // namespace

// Asked once: in a virtual machine CPUID goes to the host, which took a tenth of the time of generation.
bool has_avx512() {
  static const bool found = find_avx512();
  return found;
}

bool has_avx512_bf16() {
  static const bool found = find_avx512_bf16();
  return found;
}

}  // namespace sluice::kernels::cpu
