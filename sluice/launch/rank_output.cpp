#include "sluice/launch/rank_output.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iostream>

#include "sluice/base/error.h"

namespace sluice::launch {

RankOutput::RankOutput(const std::string& prefix, const fs::path& file) : prefix_(prefix) {
  if (!file.empty()) file_.emplace(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw Error(std::string("no pipe for a rank's output: ") + std::strerror(errno), "start fewer ranks, or raise the limit of open files (ulimit -n)");
  read_end_ = ends[0];
  write_end_ = ends[1];
  fcntl(read_end_, F_SETFL, O_NONBLOCK);
}

RankOutput::~RankOutput() {
  close_write_end();
  close(read_end_);
}

void RankOutput::close_write_end() {
  if (write_end_ >= 0) close(write_end_);
  write_end_ = -1;
}

RankOutput::Came RankOutput::take() {
  char chunk[65536];
  const ssize_t got = read(read_end_, chunk, sizeof chunk);
  if (got < 0) return Came::kNothing;
  unfinished_.append(chunk, static_cast<std::size_t>(got));
  if (got == 0 && !unfinished_.empty()) unfinished_ += '\n';
  const auto whole = unfinished_.rfind('\n') + 1;  // 0 where there is none
  show(unfinished_.substr(0, whole));
  unfinished_.erase(0, whole);
  return got == 0 ? Came::kEnd : Came::kSome;
}

// `lines`: whole ones.
void RankOutput::show(std::string lines) {
  if (lines.empty()) return;
  if (file_) file_->write_all(lines);
  for (std::size_t at = 0; at < lines.size(); at = lines.find('\n', at) + 1) lines.insert(at, prefix_);
  std::cerr << lines << std::flush;
}

}  // namespace sluice::launch
