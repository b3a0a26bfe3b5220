// A process by a name that stays its own.
#pragma once
#include <cstdint>
#include <string>

namespace sluice::dist {

struct Process {
  std::string host;
  std::int64_t pid = 0;
  std::string birth;  // when its host was started, its space of process numbers, when it was started: no other process has the same
};

Process this_process();

// Whether `process` is one of this host's and stopped (SIGSTOP, SIGTSTP).
bool is_stopped_here(const Process& process);

}  // namespace sluice::dist
