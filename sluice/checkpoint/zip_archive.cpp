#include "sluice/checkpoint/zip_archive.h"

#include <algorithm>
#include <concepts>
#include <cstring>
#include <optional>

#include "sluice/base/error.h"
#include "sluice/checkpoint/strict_json.h"

namespace sluice::checkpoint {
namespace {

// Signatures and sizes of the fixed parts of the records (APPNOTE 4.3).
constexpr std::uint32_t kLocalHeader = 0x04034b50, kDirectoryHeader = 0x02014b50, kEnd = 0x06054b50, kEnd64 = 0x06064b50,
                        kEnd64Locator = 0x07064b50;
constexpr std::size_t kLocalBytes = 30, kDirectoryBytes = 46, kEndBytes = 22, kEnd64Bytes = 56, kLocatorBytes = 20;
constexpr std::uint64_t kFull32 = 0xFFFFFFFF, kFull16 = 0xFFFF;  // "see zip64"

// Bounds-checked little-endian numbers.
class Records {
 public:
  Records(std::span<const std::byte> bytes, const std::string& where) : bytes_(bytes), where_(where) {}

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(where_ + ": " + what, "the file is no torch.save archive, or damaged or cut short: copy or write it again");
  }

  std::span<const std::byte> at(std::uint64_t offset, std::uint64_t count, const std::string& what) const {
    if (offset > bytes_.size() || count > bytes_.size() - offset) {
      fail(what + " should be " + std::to_string(count) + " bytes at " + std::to_string(offset) + ", but the archive has " +
           std::to_string(bytes_.size()));
    }
    return bytes_.subspan(offset, count);
  }

  std::uint64_t size() const { return bytes_.size(); }

 private:
  std::span<const std::byte> bytes_;
  const std::string& where_;
};

std::uint64_t number(std::span<const std::byte> record, std::size_t offset, std::size_t num_bytes) {
  std::uint64_t value = 0;
  std::memcpy(&value, record.subspan(offset, num_bytes).data(), num_bytes);
  return value;
}

std::string_view text(std::span<const std::byte> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

struct Directory {
  std::uint64_t offset, num_bytes, num_entries;
};

// The end record is the last one, before a comment of at most 64 KiB.
Directory find_directory(const Records& records) {
  const std::uint64_t earliest = records.size() > kEndBytes + kFull16 ? records.size() - kEndBytes - kFull16 : 0;
  if (records.size() < kEndBytes) records.fail(std::to_string(records.size()) + " bytes are too few for a zip archive");
  for (std::uint64_t at = records.size() - kEndBytes + 1; at-- > earliest;) {
    const auto end = records.at(at, kEndBytes, "the end record");
    if (number(end, 0, 4) != kEnd || at + kEndBytes + number(end, 20, 2) != records.size()) continue;
    Directory directory{number(end, 16, 4), number(end, 12, 4), number(end, 10, 2)};
    if (number(end, 4, 2) != 0 && number(end, 4, 2) != kFull16) records.fail("the archive is spread over several disks");
    if (directory.offset != kFull32 && directory.num_bytes != kFull32 && directory.num_entries != kFull16) return directory;
    if (at < kLocatorBytes) records.fail("the zip64 locator is missing");
    const auto locator = records.at(at - kLocatorBytes, kLocatorBytes, "the zip64 locator");
    if (number(locator, 0, 4) != kEnd64Locator) return directory;
    const auto end64 = records.at(number(locator, 8, 8), kEnd64Bytes, "the zip64 end record");
    if (number(end64, 0, 4) != kEnd64) records.fail("the zip64 end record is damaged");
    return {number(end64, 48, 8), number(end64, 40, 8), number(end64, 32, 8)};
  }
  records.fail("no zip directory is at its end");
}

// Sizes and offset of an entry that need 64 bits stand in its extra field number 1, those that do alone, in this order.
struct Extent {
  std::uint64_t unpacked, packed, offset;
};

Extent widen(Extent extent, std::span<const std::byte> extra, const Records& records, const std::string& name) {
  while (extra.size() >= 4) {
    const std::uint64_t tag = number(extra, 0, 2), size = number(extra, 2, 2);
    if (size > extra.size() - 4) break;
    if (tag == 1) {
      auto rest = extra.subspan(4, size);
      for (std::uint64_t* field : {&extent.unpacked, &extent.packed, &extent.offset}) {
        if (*field != kFull32) continue;
        if (rest.size() < 8) records.fail("file " + name + " lacks its 64-bit sizes");
        *field = number(rest, 0, 8);
        rest = rest.subspan(8);
      }
      return extent;
    }
    extra = extra.subspan(4 + size);
  }
  return extent;
}

}  // namespace

std::vector<ZipEntry> read_zip(std::span<const std::byte> bytes, const std::string& where) {
  const Records records(bytes, where);
  const Directory directory = find_directory(records);
  auto rest = records.at(directory.offset, directory.num_bytes, "the directory");
  if (directory.num_entries > rest.size() / kDirectoryBytes)
    records.fail("the directory of " + std::to_string(rest.size()) + " bytes cannot hold " + std::to_string(directory.num_entries) +
                 " files");
  std::vector<ZipEntry> entries;
  for (std::uint64_t i = 0; i < directory.num_entries; ++i) {
    if (rest.size() < kDirectoryBytes || number(rest, 0, 4) != kDirectoryHeader)
      records.fail("the directory ends at file " + std::to_string(i));
    const std::uint64_t name_bytes = number(rest, 28, 2), extra_bytes = number(rest, 30, 2), comment_bytes = number(rest, 32, 2);
    if (rest.size() - kDirectoryBytes < name_bytes + extra_bytes + comment_bytes)
      records.fail("the directory ends inside file " + std::to_string(i));
    const std::string_view name = text(rest.subspan(kDirectoryBytes, name_bytes));
    const std::string quoted = in_quotes(name);
    if ((number(rest, 8, 2) & 1) != 0) records.fail("file " + quoted + " is encrypted");
    if (number(rest, 10, 2) != 0) records.fail("file " + quoted + " is compressed, as torch.save never does");
    const Extent extent = widen({number(rest, 24, 4), number(rest, 20, 4), number(rest, 42, 4)},
                                rest.subspan(kDirectoryBytes + name_bytes, extra_bytes), records, quoted);
    if (extent.packed != extent.unpacked) records.fail("file " + quoted + " has two sizes");
    const auto local = records.at(extent.offset, kLocalBytes, "the header of file " + quoted);
    if (number(local, 0, 4) != kLocalHeader) records.fail("file " + quoted + " does not begin where the directory says");
    const std::uint64_t skipped = kLocalBytes + number(local, 26, 2) + number(local, 28, 2);
    const auto inside = records.at(extent.offset, skipped, "the header of file " + quoted);
    entries.push_back({name, records.at(extent.offset + inside.size(), extent.packed, "file " + quoted)});
    rest = rest.subspan(kDirectoryBytes + name_bytes + extra_bytes + comment_bytes);
  }
  return entries;
}

}  // namespace sluice::checkpoint
