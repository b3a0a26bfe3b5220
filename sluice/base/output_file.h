// A file written piece by piece that appears under its name only when it is whole.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "sluice/base/file.h"

namespace sluice {

// Buffers and writes to a temporary file beside `path`; `commit` syncs it and renames it over `path`. Without a commit (an exception on the
// way) the temporary is removed and what was at `path` before stays. Error when the folder is missing or the disk is full.
class OutputFile {
 public:
  explicit OutputFile(const fs::path& path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  void write(std::string_view bytes);
  void commit();  // nothing can be written afterwards

 private:
  fs::path path_, temporary_;
  std::unique_ptr<FileDescriptor> file_;
  std::string buffer_;
};

}  // namespace sluice
