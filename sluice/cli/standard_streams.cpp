#include "sluice/cli/standard_streams.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iostream>

#include "sluice/base/error.h"

namespace sluice::cli {

void open_standard_streams() {
  for (const auto& [descriptor, stand_in] : {std::pair(STDIN_FILENO, "/dev/null"), {STDOUT_FILENO, "/dev/full"}, {STDERR_FILENO, "/dev/null"}}) {
    if (fcntl(descriptor, F_GETFD) < 0) open(stand_in, descriptor == STDIN_FILENO ? O_RDONLY : O_WRONLY);  // gets the lowest free number: this one
  }
}

void require_output_written() {
  const bool failed_before = !std::cout;
  errno = 0;
  std::cout.flush();
  if (std::cout) return;
  const std::string reason = failed_before || errno == 0 ? "" : std::string(": ") + std::strerror(errno);
  throw Error("standard output could not be written" + reason + "; what arrived there is not whole", "check the disk, or the program that reads it");
}

void write_now(std::ostream& out, const std::string& text) {
  out << text << std::flush;
  if (!out) throw Error("cannot write to standard output", "check the disk or the program that reads it");
}

}  // namespace sluice::cli
