#include <zlib.h>

#include <algorithm>

#include "sluice/base/error.h"
#include "sluice/checkpoint/zip_archive.h"

namespace sluice::checkpoint {
namespace {

constexpr std::uint64_t kFull32 = 0xFFFFFFFF, kFull16 = 0xFFFF;  // "see zip64"
// General flags: names are UTF-8, checksum and sizes follow the file. Stored files of version 2.0; 4.5 knows zip64.
constexpr std::uint64_t kFlags = 1 << 11 | 1 << 3, kVersion = 20, kVersion64 = 45, kNoDate = 0x0021;  // 1 January 1980

// Appends `value` in `num_bytes` bytes, little-endian.
void put(std::string& out, std::uint64_t value, int num_bytes) {
  for (int i = 0; i < num_bytes; ++i, value >>= 8) out.push_back(static_cast<char>(value & 0xFF));
}

std::uint64_t low(std::uint64_t value, std::uint64_t full) { return std::min(value, full); }

// An entry of the directory (APPNOTE 4.3.12).
std::string directory_record(const std::string& name, std::uint64_t num_bytes, std::uint64_t begin, std::uint32_t checksum) {
  std::string extra;
  if (num_bytes >= kFull32) {
    put(extra, num_bytes, 8);
    put(extra, num_bytes, 8);
  }
  if (begin >= kFull32) put(extra, begin, 8);
  std::string record;
  put(record, 0x02014b50, 4);
  put(record, extra.empty() ? kVersion : kVersion64, 2);
  put(record, extra.empty() ? kVersion : kVersion64, 2);
  put(record, kFlags, 2);
  put(record, 0, 4);  // stored, no time
  put(record, kNoDate, 2);
  put(record, checksum, 4);
  put(record, low(num_bytes, kFull32), 4);
  put(record, low(num_bytes, kFull32), 4);
  put(record, name.size(), 2);
  put(record, extra.empty() ? 0 : extra.size() + 4, 2);
  put(record, 0, 10);  // no comment, disk, attributes
  put(record, low(begin, kFull32), 4);
  record += name;
  if (!extra.empty()) {
    put(record, 1, 2);
    put(record, extra.size(), 2);
    record += extra;
  }
  return record;
}

// What follows the directory: the zip64 end record with its locator where needed, and the end record (APPNOTE 4.3.14 to 4.3.16).
std::string end_records(std::uint64_t directory_begin, std::uint64_t num_bytes, std::uint64_t count) {
  std::string end;
  if (directory_begin >= kFull32 || num_bytes >= kFull32 || count >= kFull16) {
    put(end, 0x06064b50, 4);
    put(end, 44, 8);  // bytes that follow in this record
    put(end, kVersion64, 2);
    put(end, kVersion64, 2);
    put(end, 0, 8);  // disks
    put(end, count, 8);
    put(end, count, 8);
    put(end, num_bytes, 8);
    put(end, directory_begin, 8);
    put(end, 0x07064b50, 4);
    put(end, 0, 4);
    put(end, directory_begin + num_bytes, 8);
    put(end, 1, 4);
  }
  put(end, 0x06054b50, 4);
  put(end, 0, 4);
  put(end, low(count, kFull16), 2);
  put(end, low(count, kFull16), 2);
  put(end, low(num_bytes, kFull32), 4);
  put(end, low(directory_begin, kFull32), 4);
  put(end, 0, 2);
  return end;
}

}  // namespace

void ZipWriter::write(std::string_view bytes) {
  sink_(std::as_bytes(std::span(bytes)));
  position_ += bytes.size();
}

void ZipWriter::begin(std::string_view name, std::uint64_t num_bytes) {
  end_entry();
  SLUICE_CHECK(name.size() < kFull16, "a file name of " + std::to_string(name.size()) + " bytes in a zip archive");
  constexpr std::uint64_t kHeaderBytes = 30, kPaddingHeader = 4;
  const std::uint64_t unpadded = position_ + kHeaderBytes + name.size() + kPaddingHeader;
  const std::uint64_t padding = (kAlignment - unpadded % kAlignment) % kAlignment;
  std::string header;
  put(header, 0x04034b50, 4);
  put(header, kVersion, 2);
  put(header, kFlags, 2);
  put(header, 0, 2);  // stored
  put(header, 0, 2);
  put(header, kNoDate, 2);
  put(header, 0, 12);  // checksum and sizes, which follow
  put(header, name.size(), 2);
  put(header, kPaddingHeader + padding, 2);
  header += name;
  put(header, 'F' | 'B' << 8, 2);  // PyTorch's tag for the extra field that aligns
  put(header, padding, 2);
  header.append(padding, 'Z');
  entries_.push_back({std::string(name), num_bytes, position_, static_cast<std::uint32_t>(crc32(0, nullptr, 0))});
  write(header);
  remaining_ = num_bytes;
  open_ = true;
}

void ZipWriter::append(std::span<const std::byte> bytes) {
  SLUICE_CHECK(open_ && bytes.size() <= remaining_,
               std::to_string(bytes.size()) + " bytes for a file of a zip archive with room for " + std::to_string(remaining_));
  entries_.back().crc32 =
      static_cast<std::uint32_t>(crc32_z(entries_.back().crc32, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
  sink_(bytes);
  position_ += bytes.size();
  remaining_ -= bytes.size();
}

void ZipWriter::add(std::string_view name, std::string_view bytes) {
  begin(name, bytes.size());
  append(std::as_bytes(std::span(bytes)));
}

void ZipWriter::end_entry() {
  if (!open_) return;
  SLUICE_CHECK(remaining_ == 0, "file " + entries_.back().name + " of a zip archive lacks " + std::to_string(remaining_) + " bytes");
  const Written& entry = entries_.back();
  const int size_bytes = entry.num_bytes >= kFull32 ? 8 : 4;
  std::string trailer;
  put(trailer, 0x08074b50, 4);
  put(trailer, entry.crc32, 4);
  put(trailer, entry.num_bytes, size_bytes);
  put(trailer, entry.num_bytes, size_bytes);
  write(trailer);
  open_ = false;
}

void ZipWriter::finish() {
  end_entry();
  const std::uint64_t begin = position_;
  for (const Written& entry : entries_) write(directory_record(entry.name, entry.num_bytes, entry.begin, entry.crc32));
  write(end_records(begin, position_ - begin, entries_.size()));
}

}  // namespace sluice::checkpoint
