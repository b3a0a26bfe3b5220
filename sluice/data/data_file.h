// A data file that is read again and again at random places, and must stay as it was when it was checked.
#pragma once
#include <cstdint>
#include <string>

#include "sluice/base/file.h"

namespace sluice::data {

// Where a line starts: what LineReader::seek takes.
struct LinePlace {
  std::int64_t offset = 0, number = 0;
};

class DataFile {
 public:
  // Error when `path` is not a readable file.
  explicit DataFile(const fs::path& path);
  const fs::path& path() const { return path_; }

  // A reader that goes on at `place`; Error when the file's size or time of change is no longer what it was at construction.
  LineReader open_at(const LinePlace& place) const;

 private:
  fs::path path_;
  std::uintmax_t size_ = 0;
  fs::file_time_type changed_;
};

// Goes to the next line that is not blank; `place` becomes where it starts. False at the end of the file.
bool next_row(LineReader& reader, std::string& line, LinePlace& place);

}  // namespace sluice::data
