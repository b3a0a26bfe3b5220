// Signals as something to wait for beside other things.
#pragma once
#include <signal.h>

#include <optional>

namespace sluice::launch {

// While it lives, SIGINT, SIGTERM, SIGHUP (unless nohup has it ignored) and SIGCHLD do nothing but wait to be read. One at a time.
class SignalQueue {
 public:
  SignalQueue();  // Error when the system has no descriptor left
  ~SignalQueue();
  SignalQueue(const SignalQueue&) = delete;
  SignalQueue& operator=(const SignalQueue&) = delete;
  int descriptor() const { return descriptor_; }  // readable when there is one
  std::optional<int> next();                      // never waits

 private:
  sigset_t before_;
  int descriptor_ = -1;
};

}  // namespace sluice::launch
