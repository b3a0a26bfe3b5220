// Ctrl-C and SIGTERM as a question that a long job asks between its steps.
#pragma once

namespace sluice {

// While it lives, SIGINT and SIGTERM only set a flag; a second SIGINT ends the program at once. One at a time.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
  bool interrupted() const;
};

// Thrown after an interrupted job has saved what it should: exit status 130.
struct Interrupted {};

}  // namespace sluice
