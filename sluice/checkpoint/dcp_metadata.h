// The file .metadata of PyTorch Distributed Checkpoint: a pickle of torch.distributed.checkpoint.metadata.Metadata that says which
// chunk of which tensor lies where. Fields as in torch 2.13, torch/distributed/checkpoint/{metadata,filesystem}.py.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "sluice/checkpoint/box.h"
#include "sluice/checkpoint/dtype.h"

namespace sluice::checkpoint {

// An item: bytes [offset, offset + num_bytes) of a file beside .metadata; a torch.save archive of its own.
struct DcpPlace {
  std::string file;
  std::uint64_t offset = 0, num_bytes = 0;
};

struct DcpChunk {
  Box box;  // of the whole tensor
  DcpPlace place;
};

struct DcpTensor {
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;  // of the whole tensor
  std::vector<DcpChunk> chunks;
};

struct DcpMetadata {
  std::map<std::string, DcpTensor, std::less<>> tensors;
  std::map<std::string, DcpPlace, std::less<>> objects;  // what is no tensor
};

// Error naming `where` and the tensor: as Pickle; when a field is missing or of another kind; when a chunk sticks out of its tensor, has
// no place, or lies in a file outside the folder; when the items are compressed. Whether chunks cover their tensor is not looked at.
DcpMetadata parse_dcp_metadata(std::span<const std::byte> pickle, const std::string& where);

// The bytes of a .metadata file.
std::string write_dcp_metadata(const DcpMetadata& metadata);

}  // namespace sluice::checkpoint
