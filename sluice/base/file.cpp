#include "sluice/base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "sluice/base/error.h"
#include "sluice/base/output_file.h"

namespace sluice {
namespace {

std::string reason() { return std::strerror(errno); }

// What errno says of `path`; a relative path that is not there means little without the folder in which it was looked for.
Error unreadable(const fs::path& path) {
  if (path.empty()) return Error("the path of a file to read is empty", "give the path of a file");
  if (errno == ENOENT && path.is_relative()) {
    return Error("cannot read " + path.string() + ": no such file in " + fs::current_path().string(),
                 "check the path; one that does not begin with / starts in the folder in which the program is run");
  }
  return Error("cannot read " + path.string() + ": " + reason(), "check the path and that you may read it");
}

// Error for a packed file in place of text: its first byte is no character, so that one is enough to look (RFC 1952, 2.3.1).
void refuse_gzip(std::ifstream& in, const fs::path& path) {
  if (in.peek() == 0x1f) throw Error(path.string() + " is packed by gzip", "unpack it first: gunzip --keep " + path.string());
  in.clear();  // looking into an empty file has met its end
}

// All of a pipe or device, whose size is not known before its end.
std::string read_stream(const fs::path& path) {
  const FileDescriptor file(path, O_RDONLY);
  std::string out;
  char chunk[1 << 16];
  for (;;) {
    const ssize_t got = read(file.get(), chunk, sizeof chunk);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw unreadable(path);
    if (got == 0) return out;
    out.append(chunk, static_cast<std::size_t>(got));
  }
}

}  // namespace

std::string read_file(const fs::path& path) {
  if (fs::exists(path) && !fs::is_regular_file(path) && !fs::is_directory(path)) return read_stream(path);
  const MappedFile file(path);
  return std::string(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
}

std::string read_file_gz(const fs::path& path) {
  if (path.extension() != ".gz") return read_file(path);
  const std::unique_ptr<gzFile_s, decltype(&gzclose)> in(gzopen(path.c_str(), "rb"), &gzclose);
  if (!in) throw unreadable(path);
  std::string out;
  char chunk[1 << 16];
  int got = 0;
  while ((got = gzread(in.get(), chunk, sizeof chunk)) > 0) out.append(chunk, static_cast<std::size_t>(got));
  int status = Z_OK;
  const char* message = gzerror(in.get(), &status);
  if (got < 0 || status != Z_OK) throw Error(path.string() + " is not a whole gzip file: " + message, "copy or download the file again");
  return out;
}

void write_file_atomic(const fs::path& path, std::string_view bytes) {
  OutputFile out(path);
  out.write(bytes);
  out.commit();
}

void sync_folder(const fs::path& folder) { FileDescriptor(folder, O_RDONLY | O_DIRECTORY).sync(); }

std::uint64_t free_disk_bytes(const fs::path& path) {
  fs::path existing = fs::absolute(path);
  while (!fs::exists(existing)) existing = existing.parent_path();
  struct statvfs info {};
  if (statvfs(existing.c_str(), &info) != 0) throw unreadable(existing);
  return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
}

MappedFile::MappedFile(const fs::path& path) {
  const FileDescriptor file(path, O_RDONLY);
  struct stat info {};
  if (fstat(file.get(), &info) != 0) throw unreadable(path);
  if (S_ISDIR(info.st_mode)) throw Error(path.string() + " is a folder, not a file", "give the path of a file");
  size_ = static_cast<std::size_t>(info.st_size);
  if (size_ == 0) return;
  data_ = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (data_ == MAP_FAILED) throw unreadable(path);
}

MappedFile::~MappedFile() {
  if (data_) munmap(data_, size_);
}

LineReader::LineReader(const fs::path& path) : path_(path), in_(path, std::ios::binary) {
  if (!in_) throw unreadable(path);
  if (fs::is_directory(path)) throw Error(path.string() + " is a folder, not a file", "give the path of a file");
  refuse_gzip(in_, path);
}

bool LineReader::next(std::string& line) {
  if (!std::getline(in_, line)) return false;
  offset_ += static_cast<std::int64_t>(line.size()) + (in_.eof() ? 0 : 1);
  ++number_;
  if (!line.empty() && line.back() == '\r') line.pop_back();
  return true;
}

void LineReader::seek(std::int64_t offset, std::int64_t number) {
  in_.clear();
  in_.seekg(offset);
  offset_ = offset;
  number_ = number;
}

FileDescriptor::FileDescriptor(const fs::path& path, int flags, int mode) : path_(path), fd_(open(path.c_str(), flags | O_CLOEXEC, mode)) {
  if (fd_ >= 0) return;
  if ((flags & O_ACCMODE) == O_RDONLY) throw unreadable(path);
  throw Error("cannot write " + path.string() + ": " + reason(), "check that the folder exists and that you may write to it");
}

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) close(fd_);
}

void FileDescriptor::write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      const std::string why = reason();
      throw Error("cannot write " + path_.string() + ": " + why + " (" + std::to_string(free_disk_bytes(path_) >> 20) + " MiB free on that disk)",
                  "free some space or choose another folder; what was there before is unchanged");
    }
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

void FileDescriptor::sync() {
  if (fsync(fd_) != 0) throw Error("cannot sync " + path_.string() + ": " + reason(), "check the disk's free space and health");
}

}  // namespace sluice
