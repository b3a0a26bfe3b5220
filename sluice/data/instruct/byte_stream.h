// The bytes of a file, gzipped or not, one after another in constant memory.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "sluice/base/file.h"

namespace sluice::data {

class ByteStream {
 public:
  // Error when `path` cannot be read.
  explicit ByteStream(const fs::path& path);
  ~ByteStream();
  ByteStream(const ByteStream&) = delete;
  ByteStream& operator=(const ByteStream&) = delete;

  static constexpr int kEnd = -1;
  int peek() { return at_ < buffer_.size() || fill() ? static_cast<unsigned char>(buffer_[at_]) : kEnd; }
  // The next byte or kEnd. Error when gzipped data is broken or not whole.
  int next();
  // The next line without its end into `line`; false at the end of the file.
  bool next_line(std::string& line);

  const fs::path& path() const { return path_; }
  std::int64_t line() const { return line_; }  // number of the line that the next byte is in, from 1

 private:
  bool fill();

  fs::path path_;
  struct Gzip;
  std::unique_ptr<Gzip> gzip_;
  std::string buffer_;  // what was read of the file and not yet taken starts at at_
  std::size_t at_ = 0;
  std::int64_t line_ = 1;
};

}  // namespace sluice::data
