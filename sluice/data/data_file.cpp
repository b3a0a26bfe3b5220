#include "sluice/data/data_file.h"

#include "sluice/base/error.h"

namespace sluice::data {

DataFile::DataFile(const fs::path& path) : path_(path) {
  if (fs::exists(path) && !fs::is_regular_file(path) && !fs::is_directory(path))
    throw Error(path.string() + " is a pipe or a device, which cannot be read again", "write the rows to a file first");
  const LineReader readable(path);  // says what is wrong when it is not
  size_ = fs::file_size(path);
  changed_ = fs::last_write_time(path);
}

LineReader DataFile::open_at(const LinePlace& place) const {
  LineReader reader(path_);
  if (fs::file_size(path_) != size_ || fs::last_write_time(path_) != changed_) {
    throw Error(path_.string() + " was changed while it is in use",
                "leave a run's data as it is until the run ends; start or resume the run with the file that is meant");
  }
  reader.seek(place.offset, place.number);
  return reader;
}

bool next_row(LineReader& reader, std::string& line, LinePlace& place) {
  do {
    place = {reader.offset(), reader.number()};
    if (!reader.next(line)) return false;
  } while (line.find_first_not_of(" \t") == std::string::npos);
  return true;
}

}  // namespace sluice::data
