#include "sluice/data/instruct/byte_stream.h"

#include <fcntl.h>
#include <zlib.h>

#include "sluice/base/error.h"

namespace sluice::data {
namespace {

constexpr std::size_t kPieceBytes = 1 << 18;

}  // namespace

struct ByteStream::Gzip {
  explicit Gzip(const fs::path& path) : file(gzopen(path.c_str(), "rb")) {}
  ~Gzip() {
    if (file) gzclose(file);
  }
  Gzip(const Gzip&) = delete;
  Gzip& operator=(const Gzip&) = delete;

  gzFile file;  // zlib hands on what is not gzipped as it is
};

ByteStream::ByteStream(const fs::path& path) : path_(path) {
  const FileDescriptor readable(path, O_RDONLY);  // says what is wrong when it is not
  if (fs::is_directory(path)) throw Error(path.string() + " is a folder, not a file", "give the path of a file");
  gzip_ = std::make_unique<Gzip>(path);
  if (!gzip_->file) throw Error(path.string() + " cannot be opened", "check that the file can be read");
  gzbuffer(gzip_->file, kPieceBytes);
}

ByteStream::~ByteStream() = default;

bool ByteStream::fill() {
  buffer_.resize(kPieceBytes);
  at_ = 0;
  const int got = gzread(gzip_->file, buffer_.data(), static_cast<unsigned>(buffer_.size()));
  int status = Z_OK;
  const char* reason = gzerror(gzip_->file, &status);
  if (got < 0 || status == Z_BUF_ERROR) {  // the latter: the compressed data ends early
    throw Error(path_.string() + " is not whole: " + (status == Z_BUF_ERROR ? "its compressed data ends early" : reason),
                "copy or download the file again");
  }
  buffer_.resize(static_cast<std::size_t>(got));
  return got > 0;
}

int ByteStream::next() {
  const int byte = peek();
  if (byte == kEnd) return kEnd;
  ++at_;
  if (byte == '\n') ++line_;
  return byte;
}

bool ByteStream::next_line(std::string& line) {
  line.clear();
  if (peek() == kEnd) return false;
  for (bool ended = false; !ended && peek() != kEnd;) {
    const std::size_t end = std::min(buffer_.find('\n', at_), buffer_.size());
    line.append(buffer_, at_, end - at_);
    ended = end < buffer_.size();
    at_ = ended ? end + 1 : end;
  }
  ++line_;
  if (line.ends_with('\r')) line.pop_back();
  return true;
}

}  // namespace sluice::data
