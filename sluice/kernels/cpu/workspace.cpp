#include "sluice/kernels/cpu/workspace.h"

#include <cstdlib>
#include <new>
#include <utility>

#include "sluice/base/error.h"
#include "sluice/kernels/cpu/cpu_features.h"

namespace sluice::kernels::cpu {
namespace {

constexpr std::size_t kAlign = 64, kPage = 4096;

}  // namespace

Workspace::Workspace() {
  SLUICE_CHECK(has_avx512_bf16(), "a Workspace on a CPU without AVX512_BF16: the caller did not ask has_avx512_bf16()");
}

void Workspace::Free::operator()(std::byte* p) const { std::free(p); }

Workspace::Block Workspace::allocate(std::size_t bytes) {
  const std::size_t size = (bytes + kPage - 1) / kPage * kPage;
  auto* p = static_cast<std::byte*>(std::aligned_alloc(kPage, size));
  if (p == nullptr) throw std::bad_alloc();
  return {std::unique_ptr<std::byte[], Free>(p), size, 0};
}

std::size_t Workspace::size_bytes() const {
  std::size_t sum = 0;
  for (const Block& block : blocks_) sum += block.size;
  return sum;
}

void Workspace::begin() {
  if (blocks_.size() > 1) {  // the previous call outgrew the memory: one block that would have held it all
    const std::size_t size = size_bytes();
    blocks_.clear();
    blocks_.push_back(allocate(size));
  }
  for (Block& block : blocks_) block.used = 0;
}

void* Workspace::take(std::size_t bytes) {
  const std::size_t size = (bytes + kAlign - 1) / kAlign * kAlign;
  if (blocks_.empty() || blocks_.back().size - blocks_.back().used < size) blocks_.push_back(allocate(size > 0 ? size : kAlign));
  Block& block = blocks_.back();
  std::byte* p = block.data.get() + block.used;
  block.used += size;
  return p;
}

}  // namespace sluice::kernels::cpu
