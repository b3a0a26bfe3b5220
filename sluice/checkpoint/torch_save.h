// What torch.save wrote: a zip archive of a pickle, data.pkl, whose tensors refer to the archive's files data/0, data/1, ...
// Read in place, tensor by tensor; written as a stream that torch.load(weights_only=True) reads.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sluice/checkpoint/box.h"
#include "sluice/checkpoint/pickle.h"
#include "sluice/checkpoint/safetensors.h"
#include "sluice/checkpoint/zip_archive.h"

namespace sluice::checkpoint {

// A tensor inside an archive: element [i, j, ...] is number i*strides[0] + j*strides[1] + ... of `bytes`.
struct StridedTensor {
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape, strides;  // strides in elements
  std::span<const std::byte> bytes;          // from its first element to its last; not necessarily aligned

  bool is_contiguous() const;  // row-major without gaps: `bytes` is the tensor
};

// Copies the elements in `box` to `out`, row-major. A box outside the tensor or a buffer of another size is a Bug.
void copy_box(const StridedTensor& tensor, const Box& box, std::span<std::byte> out);

class TorchArchive {
 public:
  // Error naming `where` as read_zip and Pickle, and when the archive is not torch.save's or from a big-endian machine. `bytes` must
  // outlive the object.
  TorchArchive(std::span<const std::byte> bytes, const std::string& where);

  const PickleValue& root() const { return pickle_.root(); }
  static bool is_tensor(const PickleValue& value);  // a parameter counts as the tensor it holds
  // Error when the value is no tensor, of a type that we have no name for, or lies outside its storage.
  StridedTensor tensor(const PickleValue& value) const;

 private:
  std::span<const std::byte> open(std::span<const std::byte> bytes);  // fills storages_, gives the pickle

  std::string where_;
  std::unordered_map<std::string_view, std::span<const std::byte>> storages_;  // key ("0") -> the bytes of data/KEY
  Pickle pickle_;
};

// Streams one archive: a tensor alone, or a dict {name: tensor}.
class TorchArchiveWriter {
 public:
  enum class Root { kTensor, kDict };
  // Root::kTensor takes exactly one tensor (else a Bug); its name is not stored.
  TorchArchiveWriter(Root root, std::vector<TensorSpec> tensors, ZipWriter::Sink sink);

  // The next bytes of the first tensor that is not yet complete; a tensor may come in pieces. Too many is a Bug.
  void append(std::span<const std::byte> bytes);
  void finish();  // every tensor must be complete (else a Bug)
  std::uint64_t num_bytes() const { return zip_.num_bytes(); }

 private:
  void begin_tensors();  // goes on to the first tensor that has bytes to come

  std::vector<TensorSpec> tensors_;
  ZipWriter zip_;
  std::size_t current_ = 0;
  std::uint64_t remaining_ = 0;
};

}  // namespace sluice::checkpoint
