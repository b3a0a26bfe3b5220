// Reading safetensors: 8 bytes of header length (little-endian), a JSON header, then the tensors' bytes without gaps.
// Format: https://huggingface.co/docs/safetensors/index#format
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sluice/base/file.h"
#include "sluice/checkpoint/dtype.h"

namespace sluice::checkpoint {

// What a tensor is, without its values.
struct TensorSpec {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;

  // Error when the shape has a negative dim or too many elements to count.
  std::uint64_t num_bytes() const;
};

// A tensor inside a mapped file: row-major, little-endian, NOT necessarily aligned to its element (copy it, or check the address).
// The bytes live as long as the file object they came from.
struct TensorView {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;

  TensorSpec spec() const { return {name, dtype, shape}; }
};

// A whole safetensors file in memory: what the header says, proven to agree with the bytes that are there.
struct SafetensorsContents {
  std::vector<TensorView> tensors;              // in the order of their bytes
  std::map<std::string, std::string> metadata;  // "__metadata__"; empty when the file has none
};

// Checks and takes apart `file`. Every tensor's bytes lie inside it, as many as its shape asks for; together they cover the data
// exactly once; names are unique. Error naming `where`, the tensor, the value and the limit otherwise. Reads nothing outside `file`.
SafetensorsContents parse_safetensors(std::span<const std::byte> file, const std::string& where);

// The longest header that is read or written, in bytes: the limit of the format's own library.
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;

// Where the data begins in files that are written: at a multiple of a cache line, as allocated memory does.
constexpr std::uint64_t kDataAlignment = 64;

// A safetensors file mapped read-only; nothing is copied. The file must not shrink while it is open.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const fs::path& path);  // Error as parse_safetensors, or when the file cannot be read

  const fs::path& path() const { return path_; }
  const std::vector<TensorView>& tensors() const { return contents_.tensors; }
  const std::map<std::string, std::string>& metadata() const { return contents_.metadata; }
  const TensorView* find(std::string_view name) const;     // null when there is none
  const TensorView& require(std::string_view name) const;  // Error naming the file and the nearest name when there is none

 private:
  fs::path path_;
  std::unique_ptr<MappedFile> file_;
  SafetensorsContents contents_;
  std::unordered_map<std::string_view, std::size_t> index_;  // views of contents_.tensors[].name
};

}  // namespace sluice::checkpoint
