#include "sluice/checkpoint/observed_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "sluice/base/error.h"

namespace sluice::checkpoint {
namespace {

using Change = WriteObserver::Change;

fs::path parent(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

void observe_change(WriteObserver* observer, Change change, const fs::path& path) {
  if (observer) observer->before(change, path);
}

void throw_if(const std::error_code& failed, const std::string& what) {
  if (failed) throw Error("cannot " + what + ": " + failed.message(), "check that you may write there and that the disk is healthy");
}

}  // namespace

ObservedFile::ObservedFile(const fs::path& path, WriteObserver* observer)
    : path_(path), temporary_(path.string() + ".tmp" + std::to_string(getpid())), observer_(observer) {
  observe(Change::kCreate, temporary_);
  file_.emplace(temporary_, O_WRONLY | O_CREAT | O_TRUNC);
}

ObservedFile::~ObservedFile() {
  if (file_) remove_temporary();
}

void ObservedFile::remove_temporary() {
  file_.reset();
  std::error_code ignored;  // what went wrong before is what gets reported
  fs::remove(temporary_, ignored);
}

void ObservedFile::observe(Change change, const fs::path& path) const { observe_change(observer_, change, path); }

void ObservedFile::append(std::span<const std::byte> bytes) { append({reinterpret_cast<const char*>(bytes.data()), bytes.size()}); }

void ObservedFile::append(std::string_view bytes) {
  SLUICE_CHECK(file_.has_value(), path_.string() + " is already committed");
  if (bytes.empty()) return;
  observe(Change::kWrite, temporary_);
  file_->write_all(bytes);
  size_bytes_ += bytes.size();
}

void ObservedFile::overwrite_start(std::string_view bytes) {
  SLUICE_CHECK(file_.has_value() && bytes.size() <= size_bytes_, "only bytes that are there can be overwritten");
  if (lseek(file_->get(), 0, SEEK_SET) != 0)
    throw Error("cannot seek in " + temporary_.string() + ": " + std::strerror(errno), "write to a regular file");
  observe(Change::kWrite, temporary_);
  file_->write_all(bytes);
}

void ObservedFile::commit() {
  SLUICE_CHECK(file_.has_value(), path_.string() + " is already committed");
  observe(Change::kSync, temporary_);
  file_->sync();
  rename_observed(temporary_, path_, observer_);
  file_.reset();
  sync_folder_observed(parent(path_), observer_);
}

void write_whole_file(const fs::path& path, std::string_view bytes, WriteObserver* observer) {
  ObservedFile out(path, observer);
  out.append(bytes);
  out.commit();
}

void rename_observed(const fs::path& from, const fs::path& to, WriteObserver* observer) {
  observe_change(observer, Change::kRename, from);
  std::error_code failed;
  fs::rename(from, to, failed);
  throw_if(failed, "rename " + from.string() + " to " + to.string());
}

void create_folder_observed(const fs::path& folder, WriteObserver* observer) {
  observe_change(observer, Change::kCreate, folder);
  std::error_code failed;
  fs::create_directories(folder, failed);
  throw_if(failed, "make the folder " + folder.string());
}

void remove_folder_observed(const fs::path& folder, WriteObserver* observer) {
  observe_change(observer, Change::kRemove, folder);
  std::error_code failed;
  fs::remove_all(folder, failed);
  throw_if(failed, "remove " + folder.string());
}

void sync_folder_observed(const fs::path& folder, WriteObserver* observer) {
  observe_change(observer, Change::kSync, folder);
  sync_folder(folder);
}

}  // namespace sluice::checkpoint
