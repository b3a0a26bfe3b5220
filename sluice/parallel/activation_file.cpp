#include "sluice/parallel/activation_file.h"

#include <ATen/ATen.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "sluice/base/error.h"

namespace sluice::parallel {
namespace {

constexpr std::int64_t kLeast = 64 << 10;       // bytes: less stays in memory
constexpr std::int64_t kAhead = 64 << 20;       // bytes that the disk reads ahead of a backward pass
constexpr std::int64_t kReserved = 64 << 20;    // bytes by which the file grows
constexpr std::int64_t kPage = 4096;

// Reads or writes all of [at, at + size) of a file.
template <class Transfer>
void transfer_all(const Transfer& transfer, std::byte* data, std::int64_t size, std::int64_t at, const char* what) {
  for (std::int64_t done = 0; done < size;) {
    const auto n = transfer(data + done, static_cast<std::size_t>(size - done), at + done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) throw Error(std::string("cannot ") + what + " activations in memory.offload_dir: " + (n < 0 ? std::strerror(errno) : "the file ends"), "look at that disk");
    done += n;
  }
}

}  // namespace

// A part of the file that nobody else uses while it lives.
struct ActivationFile::Extent {
  Extent(ActivationFile& f, std::int64_t size) : file(f), bytes((size + kPage - 1) / kPage * kPage), begin(f.take(bytes)) {}
  ~Extent() { file.give_back(begin, bytes); }
  Extent(const Extent&) = delete;
  Extent& operator=(const Extent&) = delete;
  ActivationFile& file;
  std::int64_t bytes, begin;
};

ActivationFile::ActivationFile(const fs::path& folder, const nn::ParameterStore& store) : file_(folder) {
  for (const nn::Parameter& parameter : store.all()) parameters_.insert(parameter.value.storage().data());
}

nn::Restore ActivationFile::keep(const at::Tensor& bytes) {
  const std::int64_t size = bytes.numel();
  if (size < kLeast || parameters_.contains(bytes.data_ptr())) return nullptr;
  const auto extent = std::make_shared<Extent>(*this, size);
  const int descriptor = file_.descriptor();
  transfer_all([&](std::byte* p, std::size_t n, std::int64_t at) { return pwrite(descriptor, p, n, at); }, static_cast<std::byte*>(bytes.data_ptr()), size, extent->begin, "write");
  file_.start_writing(extent->begin, extent->begin + size);
  return [extent, size, descriptor] {
    const std::int64_t ahead = std::max<std::int64_t>(0, extent->begin - kAhead);
    posix_fadvise(descriptor, ahead, extent->begin - ahead, POSIX_FADV_WILLNEED);
    const at::Tensor again = at::empty({size}, at::kByte);
    transfer_all([&](std::byte* p, std::size_t n, std::int64_t at) { return pread(descriptor, p, n, at); }, static_cast<std::byte*>(again.data_ptr()), size, extent->begin, "read");
    return again;
  };
}

std::int64_t ActivationFile::take(std::int64_t bytes) {
  const auto fits = std::ranges::find_if(free_, [&](const auto& part) { return part.second - part.first >= bytes; });
  if (fits != free_.end()) {
    const auto [begin, end] = *fits;
    free_.erase(fits);
    if (begin + bytes < end) free_[begin + bytes] = end;
    return begin;
  }
  file_.reserve((end_ + bytes + kReserved - 1) / kReserved * kReserved);
  return std::exchange(end_, end_ + bytes);
}

void ActivationFile::give_back(std::int64_t begin, std::int64_t bytes) {
  std::int64_t end = begin + bytes;
  if (const auto next = free_.find(end); next != free_.end()) {
    end = next->second;
    free_.erase(next);
  }
  const auto after = free_.lower_bound(begin);
  if (after != free_.begin() && std::prev(after)->second == begin) std::prev(after)->second = end;
  else free_[begin] = end;
}

}  // namespace sluice::parallel
