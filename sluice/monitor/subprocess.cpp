#include "sluice/monitor/subprocess.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

namespace sluice::monitor {
namespace {

constexpr std::size_t kMaxBytes = 1 << 20;

// The two ends of a pipe, closed when they go out of scope.
struct Pipe {
  int read_end = -1, write_end = -1;
  Pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return;
    read_end = ends[0];
    write_end = ends[1];
  }
  ~Pipe() {
    close_write();
    if (read_end >= 0) close(read_end);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  void close_write() {
    if (write_end >= 0) close(write_end);
    write_end = -1;
  }
};

struct FileActions {
  posix_spawn_file_actions_t actions;
  FileActions() { posix_spawn_file_actions_init(&actions); }
  ~FileActions() { posix_spawn_file_actions_destroy(&actions); }
  FileActions(const FileActions&) = delete;
  FileActions& operator=(const FileActions&) = delete;
};

}  // namespace

SubprocessResult run_program(const std::vector<std::string>& command, double timeout_s) {
  Pipe pipe;
  if (pipe.read_end < 0) return {std::nullopt, std::string("no pipe: ") + std::strerror(errno)};
  FileActions files;
  posix_spawn_file_actions_addopen(&files.actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files.actions, pipe.write_end, STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&files.actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  pid_t child = 0;
  const int error = posix_spawnp(&child, arguments[0], &files.actions, nullptr, arguments.data(), environ);
  if (error == ENOENT) return {std::nullopt, command[0] + " is not installed"};
  if (error != 0) return {std::nullopt, "cannot run " + command[0] + ": " + std::strerror(error)};
  pipe.close_write();

  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(timeout_s));
  std::string output;
  char chunk[4096];
  bool ended = false;
  while (!ended && output.size() < kMaxBytes) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd waiting{pipe.read_end, POLLIN, 0};
    const int ready = left > 0 ? poll(&waiting, 1, static_cast<int>(left)) : 0;
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) break;
    const ssize_t got = read(pipe.read_end, chunk, sizeof chunk);
    if (got < 0 && errno == EINTR) continue;
    ended = got <= 0;
    if (got > 0) output.append(chunk, static_cast<std::size_t>(got));
  }
  if (!ended) kill(child, SIGKILL);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!ended) return {std::nullopt, command[0] + " did not answer in time"};
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return {std::nullopt, command[0] + " failed"};
  return {output, ""};
}

}  // namespace sluice::monitor
