// One process that this one starts and answers for.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sluice::launch {

// Descriptors that a child gets as its own: without one its input is empty, and its output and error are this process's.
struct ChildStreams {
  std::optional<int> input, output, error;
};

// A process in a process group of its own, so that a terminal's Ctrl-C reaches it through us alone and nothing that it starts is left over.
// The kernel kills it when this process ends in whatever way; the destructor kills it and its group, and waits.
class Child {
 public:
  // `words`: the program, a path or a name to be looked up on PATH, then its arguments; `environment`: each NAME=VALUE. Error when no process
  // can be made; a program that cannot be run ends with status 127.
  Child(const std::vector<std::string>& words, const std::vector<std::string>& environment, const ChildStreams& streams);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void tell(int signal) const;  // it and all of its group; nothing once it has ended
  // Its exit status once it has ended, 128 + N for signal N, and nothing before. What is left of its group is then killed.
  std::optional<int> status();
  int wait();  // until it has ended; its exit status

 private:
  pid_t pid_ = -1;
  std::optional<int> status_;
};

// "exit status 2", or "signal 9 (Killed)", of what Child::status gives.
std::string describe_status(int status);

}  // namespace sluice::launch
