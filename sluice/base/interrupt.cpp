#include "sluice/base/interrupt.h"

#include <csignal>

namespace sluice {
namespace {

volatile std::sig_atomic_t g_signals = 0;  // a signal handler can reach nothing else

void on_signal(int signal) {
  if (g_signals) {  // asked a second time: end now, as the signal would have
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
  g_signals = 1;
}

}  // namespace

InterruptGuard::InterruptGuard() {
  g_signals = 0;
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
}

InterruptGuard::~InterruptGuard() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

bool InterruptGuard::interrupted() const { return g_signals != 0; }

}  // namespace sluice
