#include "sluice/base/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "sluice/base/error.h"

namespace sluice {
namespace {

constexpr std::size_t kBufferBytes = 1 << 20;
constexpr int kMostLinks = 40;  // as many as Linux itself follows

fs::path folder_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

// N where `path` is this process's descriptor N: /dev/fd/N, /proc/self/fd/N, and by a link /dev/stdout and /dev/stderr.
std::optional<int> descriptor_of(const fs::path& path) {
  const std::string name = path.filename().string();
  if (name.empty() || name.size() > 6 || !std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; })) return std::nullopt;
  std::error_code none;
  const fs::path own = fs::canonical("/proc/self/fd", none);
  if (none || fs::weakly_canonical(folder_of(path)) != own) return std::nullopt;
  return std::stoi(name);
}

// What `path` names in the end. A link whose file is yet to be made is followed too; a descriptor is an end.
fs::path follow_links(fs::path path) {
  for (int links = 0; fs::is_symlink(fs::symlink_status(path)) && !descriptor_of(path); ++links) {
    if (links == kMostLinks) throw Error(path.string() + " is a link that leads back to itself", "give the path of a file to write");
    path = folder_of(path) / fs::read_symlink(path);
  }
  return path;
}

enum class Place { kReplaced, kWrittenThrough };

// Error for what cannot be a file to write.
Place place_of(const fs::path& path) {
  if (path.empty()) throw Error("the path of a file to write is empty", "give the path of a file");
  if (descriptor_of(path)) return Place::kWrittenThrough;
  if (fs::is_directory(path)) throw Error(path.string() + " is a folder, not a file", "give the path of a file to write");
  if (!fs::is_directory(folder_of(path)))
    throw Error("cannot write " + path.string() + ": there is no folder " + folder_of(path).string(), "make the folder first");
  return !fs::exists(path) || fs::is_regular_file(path) ? Place::kReplaced : Place::kWrittenThrough;
}

// `path` as it was given is what errors name; `target` is what it names in the end.
std::unique_ptr<FileDescriptor> open_through(const fs::path& path, const fs::path& target) {
  const auto descriptor = descriptor_of(target);
  if (!descriptor) return std::make_unique<FileDescriptor>(path, O_WRONLY);
  // A second opening would begin at the file's start, and fail for sockets: a duplicate shares the place of what else is printed.
  auto file = std::make_unique<FileDescriptor>(path, O_PATH);
  if (dup3(*descriptor, file->get(), O_CLOEXEC) < 0) throw Error("cannot write " + path.string() + ": " + std::strerror(errno), "give the path of a file");
  return file;
}

}  // namespace

OutputFile::OutputFile(const fs::path& path) : path_(follow_links(path)) {
  buffer_.reserve(kBufferBytes);
  if (place_of(path_) == Place::kWrittenThrough) {
    file_ = open_through(path, path_);
    return;
  }
  temporary_ = path_.string() + ".tmp" + std::to_string(getpid());
  file_ = std::make_unique<FileDescriptor>(temporary_, O_WRONLY | O_CREAT | O_TRUNC);
  struct stat before {};
  if (stat(path_.c_str(), &before) == 0) fchmod(file_->get(), before.st_mode & 07777);  // a private file stays private
}

OutputFile::~OutputFile() {
  if (!file_ || temporary_.empty()) return;
  file_.reset();
  std::error_code ignored;  // a destructor has nobody to tell
  fs::remove(temporary_, ignored);
}

void OutputFile::write(std::string_view bytes) {
  SLUICE_CHECK(file_ != nullptr, "write after commit");
  if (buffer_.size() + bytes.size() > kBufferBytes) {
    file_->write_all(buffer_);
    buffer_.clear();
  }
  if (bytes.size() > kBufferBytes) return file_->write_all(bytes);
  buffer_ += bytes;
}

void OutputFile::commit() {
  SLUICE_CHECK(file_ != nullptr, "commit after commit");
  file_->write_all(buffer_);
  if (temporary_.empty()) return file_.reset();
  file_->sync();
  fs::rename(temporary_, path_);
  file_.reset();
  sync_folder(folder_of(path_));
}

void require_writable(const fs::path& path) {
  const fs::path target = follow_links(path);
  if (place_of(target) == Place::kReplaced) {
    const OutputFile made(target);
    return;
  }
  if (access(target.c_str(), W_OK) == 0) return;  // opening a pipe would wake its reader
  throw Error("cannot write " + path.string() + ": " + std::strerror(errno), "give a path that you may write to");
}

fs::path require_replaceable(const fs::path& path) {
  const fs::path target = follow_links(path);
  if (place_of(target) == Place::kWrittenThrough) throw Error(path.string() + " is a pipe or a device, not a file", "give the path of a file to write");
  const OutputFile made(target);
  return target;
}

void require_writable_folder(const fs::path& folder) {
  fs::path existing = fs::absolute(folder).lexically_normal();
  while (!fs::exists(existing)) existing = existing.parent_path();
  if (!fs::is_directory(existing)) throw Error(existing.string() + " is a file, not a folder", "give another folder to write to");
  require_writable(existing / "probe");
}

void require_other_file(const fs::path& input, const fs::path& output) {
  std::error_code ignored;
  if (fs::is_regular_file(output, ignored) && fs::equivalent(input, output, ignored)) {
    throw Error("--output " + output.string() + " is the file that is read, and its rows would be lost", "name another file");
  }
}

}  // namespace sluice
