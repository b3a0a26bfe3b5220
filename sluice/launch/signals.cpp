#include "sluice/launch/signals.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "sluice/base/error.h"

namespace sluice::launch {

SignalQueue::SignalQueue() {
  sigset_t taken;
  sigemptyset(&taken);
  for (const int signal : {SIGINT, SIGTERM, SIGCHLD}) sigaddset(&taken, signal);
  struct sigaction hangup {};
  if (sigaction(SIGHUP, nullptr, &hangup) == 0 && hangup.sa_handler != SIG_IGN) sigaddset(&taken, SIGHUP);
  descriptor_ = signalfd(-1, &taken, SFD_NONBLOCK | SFD_CLOEXEC);
  if (descriptor_ < 0) throw Error(std::string("signals cannot be waited for: ") + std::strerror(errno), "raise the limit of open files (ulimit -n)");
  sigprocmask(SIG_BLOCK, &taken, &before_);
}

SignalQueue::~SignalQueue() {
  sigprocmask(SIG_SETMASK, &before_, nullptr);
  close(descriptor_);
}

std::optional<int> SignalQueue::next() {
  signalfd_siginfo info;
  const ssize_t got = read(descriptor_, &info, sizeof info);
  return got == sizeof info ? std::optional(static_cast<int>(info.ssi_signo)) : std::nullopt;
}

}  // namespace sluice::launch
