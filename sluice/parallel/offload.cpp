#include "sluice/parallel/offload.h"

#include <ATen/ATen.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "sluice/base/error.h"

namespace sluice::parallel {
namespace {

constexpr std::int64_t kPage = 4096;
constexpr const char* kRemedy = "give a folder on a disk: memory.offload_dir=DIR";

}  // namespace

NamelessFile::NamelessFile(const fs::path& folder) : folder_(folder) {
  struct statfs system {};
  if (statfs(folder.c_str(), &system) != 0) throw Error("memory.offload_dir = " + folder.string() + ": " + std::strerror(errno), kRemedy);
  if (system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC) throw Error("memory.offload_dir = " + folder.string() + " lies in memory itself", kRemedy);
  std::string name = (folder / "sluice-offload-XXXXXX").string();
  descriptor_ = mkstemp(name.data());
  if (descriptor_ < 0) throw Error("memory.offload_dir = " + folder.string() + ": cannot make a file there: " + std::strerror(errno), kRemedy);
  unlink(name.c_str());
}

NamelessFile::~NamelessFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

void NamelessFile::reserve(std::int64_t bytes) {
  if (bytes <= reserved_) return;
  if (const int failed = posix_fallocate(descriptor_, reserved_, bytes - reserved_); failed != 0) {
    throw Error("memory.offload_dir = " + folder_.string() + " has no room for a file of " + std::to_string(bytes) + " bytes: " + std::strerror(failed),
                "free some space, offload less, or give a folder on a larger disk");
  }
  reserved_ = bytes;
}

void NamelessFile::start_writing(std::int64_t begin, std::int64_t end) const { sync_file_range(descriptor_, begin, end - begin, SYNC_FILE_RANGE_WRITE); }

struct DiskBuffers::Mapping {
  explicit Mapping(const fs::path& folder) : file(folder) {}
  ~Mapping() {
    if (data) munmap(data, static_cast<std::size_t>(bytes));
  }
  NamelessFile file;
  std::byte* data = nullptr;
  std::int64_t bytes = 0, element = 0;
};

at::Tensor DiskBuffers::zeros(std::int64_t count, at::ScalarType type) {
  if (count == 0) return at::empty({0}, type);
  const auto made = std::make_shared<Mapping>(folder_);
  made->element = static_cast<std::int64_t>(c10::elementSize(type));
  made->bytes = count * made->element;
  made->file.reserve(made->bytes);
  void* data = mmap(nullptr, static_cast<std::size_t>(made->bytes), PROT_READ | PROT_WRITE, MAP_SHARED, made->file.descriptor(), 0);
  if (data == MAP_FAILED) throw Error("cannot map a file of memory.offload_dir = " + folder_.string() + ": " + std::strerror(errno), kRemedy);
  made->data = static_cast<std::byte*>(data);
  mappings_.push_back(made);
  return at::from_blob(data, {count}, [made](void*) {}, at::TensorOptions(type));
}

DiskBuffers::Bytes DiskBuffers::pages(const Mapping& mapping, std::int64_t begin, std::int64_t end) {
  return {begin * mapping.element / kPage * kPage, std::min((end * mapping.element + kPage - 1) / kPage * kPage, mapping.bytes)};
}

void DiskBuffers::release(std::int64_t begin, std::int64_t end) const {
  for (const auto& mapping : mappings_) {
    const Bytes part = pages(*mapping, begin, end);
    if (part.begin >= part.end) continue;
    madvise(mapping->data + part.begin, static_cast<std::size_t>(part.end - part.begin), MADV_DONTNEED);  // of a shared mapping: the file has the bytes
    mapping->file.start_writing(part.begin, part.end);
  }
}

void DiskBuffers::expect(std::int64_t begin, std::int64_t end) const {
  for (const auto& mapping : mappings_) {
    const Bytes part = pages(*mapping, begin, end);
    if (part.begin < part.end) madvise(mapping->data + part.begin, static_cast<std::size_t>(part.end - part.begin), MADV_WILLNEED);
  }
}

}  // namespace sluice::parallel
