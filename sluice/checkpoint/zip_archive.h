// Zip archives of stored (not compressed) files, as torch.save makes them: read in place, written as a stream.
// Format: PKWARE's APPNOTE 6.3, with zip64 for what 32 bits cannot count.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::checkpoint {

struct ZipEntry {
  std::string_view name;
  std::span<const std::byte> bytes;
};

// The files of the archive in `bytes`, in the order of its directory; names and bytes are parts of `bytes`. Error naming `where` and
// the file when the archive is cut short or damaged, is spread over several disks, or holds a compressed or encrypted file. The
// checksums are not compared: PyTorch may have been told to write none.
std::vector<ZipEntry> read_zip(std::span<const std::byte> bytes, const std::string& where);

// Writes an archive through `sink`, file by file, each of a size known before its first byte. After an Error of the sink the archive
// is useless.
class ZipWriter {
 public:
  using Sink = std::function<void(std::span<const std::byte>)>;
  static constexpr std::uint64_t kAlignment = 64;  // of each file's first byte, from the archive's start: as torch.save aligns

  explicit ZipWriter(Sink sink) : sink_(std::move(sink)) {}

  void begin(std::string_view name, std::uint64_t num_bytes);  // the previous file must be complete (else a Bug)
  void append(std::span<const std::byte> bytes);               // of the current file
  void add(std::string_view name, std::string_view bytes);     // a whole file
  void finish();                                               // the directory; nothing can be written afterwards
  std::uint64_t num_bytes() const { return position_; }        // written so far

 private:
  struct Written {
    std::string name;
    std::uint64_t num_bytes, begin;  // begin of its header
    std::uint32_t crc32;
  };
  void write(std::string_view bytes);
  void end_entry();

  Sink sink_;
  std::uint64_t position_ = 0, remaining_ = 0;
  bool open_ = false;  // a file is begun and its trailer not yet written
  std::vector<Written> entries_;
};

}  // namespace sluice::checkpoint
