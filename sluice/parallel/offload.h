// Flat buffers that lie in files instead of memory: what is worked on is mapped, and what is done with leaves memory while training goes on.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "sluice/base/file.h"
#include "sluice/nn/parameter.h"

namespace sluice::parallel {

enum class Offload { kParameters, kGradients, kOptimizer, kActivations };
constexpr std::array<std::string_view, 4> names(Offload) { return {"parameters", "gradients", "optimizer", "activations"}; }

// A file of a folder that has no name: it is gone with the process, however that ends.
class NamelessFile {
 public:
  // Error, which names `folder`, where it is no folder on a disk, or cannot be written.
  explicit NamelessFile(const fs::path& folder);
  ~NamelessFile();
  NamelessFile(const NamelessFile&) = delete;
  NamelessFile& operator=(const NamelessFile&) = delete;

  int descriptor() const { return descriptor_; }
  // Has at least `bytes` of the disk. Error where the disk has not.
  void reserve(std::int64_t bytes);
  // Starts to write [begin, end) to the disk, for pages that are written can leave the system's cache.
  void start_writing(std::int64_t begin, std::int64_t end) const;

 private:
  fs::path folder_;
  int descriptor_ = -1;
  std::int64_t reserved_ = 0;
};

// The buffers of one run, which are equally long: an element of each belongs to one parameter.
class DiskBuffers {
 public:
  explicit DiskBuffers(fs::path folder) : folder_(std::move(folder)) {}

  // Makes another buffer, of zeros.
  at::Tensor zeros(std::int64_t count, at::ScalarType type);
  // Elements [begin, end) of all buffers are done with for now: they leave this process, and are written to the disk in the background. Whoever
  // touches them again finds them as they were.
  void release(std::int64_t begin, std::int64_t end) const;
  // They, or what of them exists, will be touched soon: the disk begins to read.
  void expect(std::int64_t begin, std::int64_t end) const;

 private:
  struct Mapping;
  struct Bytes {
    std::int64_t begin = 0, end = 0;  // whole pages
  };
  static Bytes pages(const Mapping& mapping, std::int64_t begin, std::int64_t end);
  fs::path folder_;
  std::vector<std::shared_ptr<const Mapping>> mappings_;
};

}  // namespace sluice::parallel
