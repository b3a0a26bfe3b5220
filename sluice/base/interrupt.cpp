#include "sluice/base/interrupt.h"

#include <signal.h>
#include <unistd.h>

namespace sluice {
namespace {

volatile sig_atomic_t g_signals = 0;  // a signal handler can reach nothing else

void end_now(int) { _exit(kInterruptedStatus); }

void take_note(int signal) {
  if (g_signals) {  // asked a second time: end now, as the signal would have
    ::signal(signal, SIG_DFL);
    raise(signal);
  }
  g_signals = 1;
}

void handle(void (*handler)(int)) {
  ::signal(SIGINT, handler);
  ::signal(SIGTERM, handler);
  struct sigaction hangup {};
  if (sigaction(SIGHUP, nullptr, &hangup) == 0 && hangup.sa_handler != SIG_IGN) ::signal(SIGHUP, handler);
}

}  // namespace

void exit_on_interrupt() { handle(end_now); }

InterruptGuard::InterruptGuard() {
  g_signals = 0;
  handle(take_note);
}

InterruptGuard::~InterruptGuard() { handle(end_now); }

bool InterruptGuard::interrupted() const { return g_signals != 0; }

void outlive_readers() { ::signal(SIGPIPE, SIG_IGN); }

}  // namespace sluice
