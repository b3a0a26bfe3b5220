// A file that appears under its name whole or not at all, written piece by piece.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "sluice/base/file.h"
#include "sluice/checkpoint/write_observer.h"

namespace sluice::checkpoint {

// Bytes go to a temporary file beside `path`; commit() syncs it and renames it over `path`. Destroyed before that, it leaves no trace.
// A full disk or any other failure is an Error; the old file, if any, is then intact. The observer may be null.
class ObservedFile {
 public:
  ObservedFile(const fs::path& path, WriteObserver* observer);
  ~ObservedFile();
  ObservedFile(const ObservedFile&) = delete;
  ObservedFile& operator=(const ObservedFile&) = delete;

  void append(std::span<const std::byte> bytes);
  void append(std::string_view bytes);
  void overwrite_start(std::string_view bytes);  // replaces the first bytes; only after all are appended
  void commit();
  std::uint64_t size_bytes() const { return size_bytes_; }

 private:
  void observe(WriteObserver::Change change, const fs::path& path) const;
  void remove_temporary();

  fs::path path_, temporary_;
  WriteObserver* observer_;
  std::optional<FileDescriptor> file_;
  std::uint64_t size_bytes_ = 0;
};

// Writes a whole file as ObservedFile does.
void write_whole_file(const fs::path& path, std::string_view bytes, WriteObserver* observer);

// The changes to folders that writers make, told to the observer (may be null); Error instead of an exception of the standard library.
void rename_observed(const fs::path& from, const fs::path& to, WriteObserver* observer);
void create_folder_observed(const fs::path& folder, WriteObserver* observer);
void remove_folder_observed(const fs::path& folder, WriteObserver* observer);  // with all that is in it
void sync_folder_observed(const fs::path& folder, WriteObserver* observer);

}  // namespace sluice::checkpoint
