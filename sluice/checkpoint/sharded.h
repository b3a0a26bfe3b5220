// The native layout of weights: each rank writes its parts of the tensors, anyone gathers any part of them.
// Files, names and notes are those of PyTorch Distributed Checkpoint's HuggingFaceStorageWriter and -Reader (torch 2.13,
// torch/distributed/checkpoint/hf_storage.py), which can read what we write and write what we read:
//   shard-SSSSS-model-MMMMM-of-NNNNN.safetensors, S counting ranks from 1 and M the rank's files from 1 to N, with __metadata__
//   DCP_SHARDING_INFO    {name: {"saved_offsets": [where the part begins in the whole tensor]}}
//   sluice_global_shape  {name: [shape of the whole tensor]}   ours; PyTorch infers the shape from the parts that it finds
//   sluice_crc32c        {name: checksum of the part's bytes}  ours
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sluice/checkpoint/box.h"
#include "sluice/checkpoint/safetensors.h"
#include "sluice/checkpoint/safetensors_writer.h"

namespace sluice::checkpoint {

// What one rank holds of one tensor. A tensor held whole has box = whole(global_shape).
struct TensorPart {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::int64_t> global_shape;
  Box box;

  std::uint64_t num_bytes() const { return TensorSpec{name, dtype, box.lengths}.num_bytes(); }
};

// Writes the parts of rank `rank` (from 0) into `folder`, in order; `source(i)` gives the bytes of part i. Several parts of one
// tensor go to several files, since a file holds a name once. Parts without elements of tensors that have some are left out; a rank
// without parts writes nothing. Over all ranks every element must be written exactly once: replicas are written by one rank.
// Returns the files. Error on a full disk; a part that sticks out of its tensor is a Bug.
std::vector<fs::path> write_shard(const fs::path& folder, int rank, const std::vector<TensorPart>& parts, const TensorSource& source,
                                  WriteObserver* observer = nullptr);

// All .safetensors files of a folder as one set of whole tensors, whatever layout wrote them. One thread at a time.
class ShardedFolder {
 public:
  enum class Checksums { kVerify, kSkip };
  struct Info {
    DType dtype;
    std::vector<std::int64_t> shape;  // of the whole tensor
  };

  // Maps the files and checks that their parts of each tensor agree in type and shape and hold every element exactly once; Error
  // that names the tensor and lists what is missing or double otherwise, or as SafetensorsFile.
  explicit ShardedFolder(const fs::path& folder, Checksums checksums = Checksums::kVerify);

  const fs::path& path() const { return folder_; }
  std::vector<std::string> names() const;         // sorted
  const Info* find(std::string_view name) const;  // null when there is none

  // Fills `out` with the whole tensor, or with the elements in `box` of it, row-major. Error when there is no such tensor or when the
  // bytes of a part do not have their checksum (each part is checked once, whole, before its first bytes are given; parts written
  // by PyTorch have none). A box outside the tensor or a buffer of another size is a Bug.
  void read(std::string_view name, std::span<std::byte> out);
  void read(std::string_view name, const Box& box, std::span<std::byte> out);
  // The whole tensor where a file holds it in one part, as long as this object lives; nothing where it is in several. Error as read().
  std::optional<TensorView> in_one_part(std::string_view name);

 private:
  struct Part {
    const SafetensorsFile* file;
    const TensorView* tensor;
    Box box;
    const std::string* checksum;  // null: none recorded, or already verified
  };
  struct Entry {
    Info info;
    bool shape_recorded = false;  // false: info.shape is the smallest that holds the parts, as PyTorch has it
    std::vector<Part> parts;
  };

  void add_file(const fs::path& path, Checksums checksums);
  void add_part(const std::string& name, Part part, const std::vector<std::int64_t>* global_shape);
  std::pair<const std::string, Entry>& require(std::string_view name);
  void verify(const std::string& name, Part& part) const;

  fs::path folder_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::vector<std::unique_ptr<std::map<std::string, std::string>>> checksums_;  // one map a file: tensor name -> hex
  std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace sluice::checkpoint
