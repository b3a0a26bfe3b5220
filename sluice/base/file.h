// Files: whole reads, mapped reads, line streams that know their place, and writes that are whole or absent.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <fstream>
#include <span>
#include <string>
#include <string_view>

namespace sluice {

namespace fs = std::filesystem;

// The file's bytes. Error when it cannot be read.
std::string read_file(const fs::path& path);

// As read_file, unpacking gzip where the name ends in .gz.
std::string read_file_gz(const fs::path& path);

// Writes `bytes` to a temporary file beside `path`, syncs it, and renames it over `path`: after a crash the old or the new file is
// there, whole. Error, with the old file intact, when the disk is full or the folder cannot be written.
void write_file_atomic(const fs::path& path, std::string_view bytes);

// Makes a rename or a new entry in `folder` durable.
void sync_folder(const fs::path& folder);

// Bytes that an unprivileged writer may still put on the file system of `path` (its nearest existing parent).
std::uint64_t free_disk_bytes(const fs::path& path);

// A file mapped read-only and private; the bytes live as long as the object.
class MappedFile {
 public:
  explicit MappedFile(const fs::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  std::span<const std::byte> bytes() const { return {static_cast<const std::byte*>(data_), size_}; }

 private:
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

// A file's lines one by one, without their line ends, in constant memory. `where()` is "file:line" of the last line.
class LineReader {
 public:
  explicit LineReader(const fs::path& path);
  bool next(std::string& line);
  std::string where() const { return path_.string() + ":" + std::to_string(number_); }
  std::int64_t number() const { return number_; }    // lines read so far
  std::int64_t offset() const { return offset_; }    // bytes read so far: where the next line starts
  void seek(std::int64_t offset, std::int64_t number);  // go on at a place that offset() and number() gave

 private:
  fs::path path_;
  std::ifstream in_;
  std::int64_t number_ = 0, offset_ = 0;
};

// A file descriptor that is closed when it goes out of scope.
class FileDescriptor {
 public:
  FileDescriptor(const fs::path& path, int flags, int mode = 0644);  // open(2); Error when it fails
  ~FileDescriptor();
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return fd_; }
  void write_all(std::string_view bytes);  // Error when not all could be written, naming the disk's free space
  void sync();

 private:
  fs::path path_;
  int fd_ = -1;
};

}  // namespace sluice
