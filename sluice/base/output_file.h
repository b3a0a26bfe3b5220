// A file written piece by piece that appears under its name only when it is whole.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "sluice/base/file.h"

namespace sluice {

// Buffers and writes to a temporary file beside `path`; `commit` syncs it and renames it over `path`. Without a commit (an exception on the
// way) the temporary is removed and what was at `path` before stays. A link stays a link: the file that it names is replaced; a file that is
// replaced keeps its permissions. What is no regular file (a pipe, a terminal, /dev/null, /dev/stdout and other descriptors of this process)
// cannot be replaced and is written through as the bytes come. Error when the folder is missing or the disk is full.
class OutputFile {
 public:
  explicit OutputFile(const fs::path& path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  void write(std::string_view bytes);
  void commit();  // nothing can be written afterwards

 private:
  fs::path path_, temporary_;  // `temporary_` is empty where bytes are written through
  std::unique_ptr<FileDescriptor> file_;
  std::string buffer_;
};

// Error when an OutputFile for `path` could not be made: asked before long work begins, so that its result has a place. Leaves no trace.
void require_writable(const fs::path& path);

// Error when `output` is the very file that is read: its rows would be gone.
void require_other_file(const fs::path& input, const fs::path& output);

// As require_writable, for writers that cannot write through: Error for a pipe, a device or a descriptor too. Returns the file that `path`
// names in the end, by its links.
fs::path require_replaceable(const fs::path& path);

// As require_writable, for a folder in which files will be made, itself and its missing parents among them.
void require_writable_folder(const fs::path& folder);

}  // namespace sluice
