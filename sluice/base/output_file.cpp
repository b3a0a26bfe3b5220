#include "sluice/base/output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include "sluice/base/error.h"

namespace sluice {
namespace {

constexpr std::size_t kBufferBytes = 1 << 20;

}  // namespace

OutputFile::OutputFile(const fs::path& path) : path_(path), temporary_(path.string() + ".tmp" + std::to_string(getpid())) {
  if (fs::is_directory(path)) throw Error(path.string() + " is a folder, not a file", "give the path of a file to write");
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  if (!fs::is_directory(folder))
    throw Error("cannot write " + path.string() + ": there is no folder " + folder.string(), "make the folder first");
  file_ = std::make_unique<FileDescriptor>(temporary_, O_WRONLY | O_CREAT | O_TRUNC);
  buffer_.reserve(kBufferBytes);
}

OutputFile::~OutputFile() {
  if (!file_) return;
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
  file_->sync();
  fs::rename(temporary_, path_);
  file_.reset();
  sync_folder(path_.has_parent_path() ? path_.parent_path() : fs::path("."));
}

}  // namespace sluice
