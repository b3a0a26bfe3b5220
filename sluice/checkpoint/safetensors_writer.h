// Writing safetensors: what the file holds is declared first, then the bytes stream through in that order.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/checkpoint/observed_file.h"
#include "sluice/checkpoint/safetensors.h"

namespace sluice::checkpoint {

// The metadata key under which per-tensor checksums are kept: the JSON text {tensor name: crc32c of its bytes, 8 hex digits}.
inline constexpr const char* kChecksumKey = "sluice_crc32c";

// Gives the bytes of the i-th declared tensor, row-major; they stay valid until the next call.
using TensorSource = std::function<std::span<const std::byte>(std::size_t index)>;

// One safetensors file. It appears under its name only in finish(); destroyed earlier, or after an Error, it leaves nothing behind.
// Tensors keep the declared order; equal input gives equal bytes.
class SafetensorsWriter {
 public:
  enum class Checksums { kNone, kPerTensor };  // kPerTensor adds kChecksumKey to the metadata

  // Error when a name is not UTF-8, a shape is impossible, the header grows past the format's limit, or `path` cannot be written.
  SafetensorsWriter(const fs::path& path, std::vector<TensorSpec> tensors, std::map<std::string, std::string> metadata, Checksums checksums,
                    WriteObserver* observer);

  // The next bytes of tensor `name`, which must be the first one not yet complete; a tensor may come in pieces. A tensor without
  // elements takes one call too. Anything else is a Bug.
  void append(std::string_view name, std::span<const std::byte> bytes);

  // Every declared tensor must be complete (else a Bug). Syncs the file and gives it its name.
  void finish();

 private:
  std::string header() const;  // length, JSON and padding; of one size whatever the checksums are

  fs::path path_;
  std::vector<TensorSpec> tensors_;
  std::map<std::string, std::string> metadata_;
  std::vector<std::uint32_t> checksums_;  // one a tensor, of the bytes so far; empty for Checksums::kNone
  ObservedFile out_;
  std::size_t current_ = 0;      // tensors complete
  std::uint64_t remaining_ = 0;  // bytes that tensors_[current_] still needs
};

// Declares `tensors` and writes them all from `source`.
void write_safetensors(const fs::path& path, const std::vector<TensorSpec>& tensors, const TensorSource& source,
                       const std::map<std::string, std::string>& metadata, SafetensorsWriter::Checksums checksums, WriteObserver* observer);

// A checksum as it is written: 8 lower-case hex digits.
std::string checksum_text(std::uint32_t checksum);

}  // namespace sluice::checkpoint
