#include "sluice/launch/child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "sluice/base/error.h"

namespace sluice::launch {
namespace {

constexpr int kOfSignals = 128, kCannotRun = 127;  // exit statuses, as shells have them

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> out;
  for (const std::string& word : words) out.push_back(const_cast<char*>(word.c_str()));
  out.push_back(nullptr);
  return out;
}

// In the new process. Other threads' locks may be held for ever here: nothing but system calls.
[[noreturn]] void become(char* const* words, char* const* environment, const ChildStreams& streams, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(kCannotRun);  // it ended before the line above
  setpgid(0, 0);
  dup2(streams.input ? *streams.input : open("/dev/null", O_RDONLY), STDIN_FILENO);
  if (streams.output) dup2(*streams.output, STDOUT_FILENO);
  if (streams.error) dup2(*streams.error, STDERR_FILENO);
  signal(SIGPIPE, SIG_DFL);
  signal(SIGXFSZ, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execvpe(words[0], words, environment);
  for (const char* part : {"error: cannot run ", static_cast<const char*>(words[0]), "\n"}) (void)!write(STDERR_FILENO, part, std::strlen(part));
  _exit(kCannotRun);
}

}  // namespace

Child::Child(const std::vector<std::string>& words, const std::vector<std::string>& environment, const ChildStreams& streams) {
  const std::vector<char*> arguments = pointers(words), variables = pointers(environment);
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ < 0) throw Error(std::string("no process can be started: ") + std::strerror(errno), "start fewer ranks, or raise the limit of processes (ulimit -u)");
  if (pid_ == 0) become(arguments.data(), variables.data(), streams, parent);
  setpgid(pid_, pid_);  // both sides do, so that it is done when either goes on
}

Child::~Child() {
  if (status_) return;
  tell(SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void Child::tell(int signal) const {
  if (!status_) kill(-pid_, signal);
}

std::optional<int> Child::status() {
  if (status_) return status_;
  siginfo_t info{};
  if (waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) return std::nullopt;
  tell(SIGKILL);  // while its number is not yet anybody else's
  waitpid(pid_, nullptr, 0);
  status_ = info.si_code == CLD_EXITED ? info.si_status : kOfSignals + info.si_status;
  return status_;
}

int Child::wait() {
  siginfo_t info{};
  while (!status_ && waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
  }
  return status().value();
}

std::string describe_status(int status) {
  if (status <= kOfSignals) return "exit status " + std::to_string(status);
  return "signal " + std::to_string(status - kOfSignals) + " (" + strsignal(status - kOfSignals) + ")";
}

}  // namespace sluice::launch
