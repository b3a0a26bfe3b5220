// The scratch memory of the bf16 kernels, kept from call to call: fresh pages would cost more than many of the products.
#pragma once
#include <cstddef>
#include <memory>
#include <vector>

namespace sluice::kernels::cpu {

// One a thread that calls kernels; never used by two calls at once. It exists only on a CPU with AVX512_BF16, so a kernel that takes one
// cannot meet an instruction that the CPU lacks. Its size is that of the hungriest call so far.
class Workspace {
 public:
  Workspace();  // Bug when has_avx512_bf16() is false: ask first
  std::size_t size_bytes() const;

  // For kernels: `begin` takes back everything that the previous call took; `take` gives uninitialised memory aligned to 64 bytes.
  void begin();
  void* take(std::size_t bytes);

 private:
  struct Free {
    void operator()(std::byte* p) const;
  };
  struct Block {
    std::unique_ptr<std::byte[], Free> data;
    std::size_t size = 0, used = 0;
  };
  static Block allocate(std::size_t bytes);
  std::vector<Block> blocks_;  // one in the steady state; more while a call outgrows it
};

}  // namespace sluice::kernels::cpu
