// PyTorch Distributed Checkpoint folders as its own FileSystemWriter makes them, Megatron's torch_dist format among them:
//   .metadata          what is where (dcp_metadata.h)
//   __RANK_N.distcp    items one after the other, each a torch.save archive (torch_save.h)
// Which chunks a tensor was cut into does not matter to a reader. The form with safetensors files: sharded.h.
#pragma once
#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/file.h"
#include "sluice/checkpoint/dcp_metadata.h"
#include "sluice/checkpoint/safetensors_writer.h"
#include "sluice/checkpoint/sharded.h"

namespace sluice::checkpoint {

// The tensors of such a folder, read chunk by chunk from mapped files. One thread at a time.
class DcpFolder {
 public:
  struct Info {
    DType dtype;
    std::vector<std::int64_t> shape;  // of the whole tensor
  };

  // Reads .metadata and maps the files. Error as parse_dcp_metadata; when a file is missing or too short; when the chunks of a tensor
  // overlap or leave elements out.
  explicit DcpFolder(const fs::path& folder);

  const fs::path& path() const { return folder_; }
  std::vector<std::string> names() const;         // of the tensors, sorted
  const Info* find(std::string_view name) const;  // null when there is none

  // Fills `out` with the whole tensor, or with the elements in `box` of it, row-major. Error when there is no such tensor or when an item
  // is not the chunk that .metadata announces. A box outside the tensor or a buffer of another size is a Bug.
  void read(std::string_view name, std::span<std::byte> out) const;
  void read(std::string_view name, const Box& box, std::span<std::byte> out) const;

  // What is no tensor, as torch.save wrote it: an archive for TorchArchive. The bytes live as long as the object.
  std::vector<std::string> object_names() const;
  std::span<const std::byte> object(std::string_view name) const;  // Error when there is none

 private:
  std::span<const std::byte> bytes_at(const DcpPlace& place, const std::string& what) const;

  fs::path folder_;
  DcpMetadata metadata_;
  std::map<std::string, Info, std::less<>> infos_;
  std::map<std::string, std::unique_ptr<MappedFile>> files_;
};

// Writes the parts of rank `rank` (from 0) to __RANK_0.distcp in `folder`, in order; `source(i)` gives the bytes of part i. Returns what
// .metadata has to say about them. Parts without elements of tensors that have some are left out; a rank without parts writes nothing.
// Error on a full disk; a part that sticks out of its tensor is a Bug.
DcpMetadata write_dcp_shard(const fs::path& folder, int rank, const std::vector<TensorPart>& parts, const TensorSource& source,
                            WriteObserver* observer = nullptr);

// Ends a checkpoint: writes .metadata of what all ranks wrote. Error when their parts of a tensor do not agree in type and shape, overlap
// or leave elements out; nothing is written then.
void write_dcp_index(const fs::path& folder, const std::vector<DcpMetadata>& ranks, WriteObserver* observer = nullptr);

}  // namespace sluice::checkpoint
