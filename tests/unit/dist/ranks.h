// Runs a test's body in several processes that meet as the ranks of a run.
#pragma once
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "sluice/dist/rendezvous.h"

namespace sluice::dist {

inline std::int64_t free_port() {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  bind(listener, reinterpret_cast<sockaddr*>(&address), size);
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  close(listener);
  return ntohs(address.sin_port);
}

inline Rendezvous rank_of(std::int64_t rank, std::int64_t world, std::int64_t port) {
  Rendezvous here;
  here.rank = here.local_rank = rank;
  here.world = here.local_world = world;
  here.address = "127.0.0.1";
  here.port = port;
  return here;
}

// How a process ended, as waitpid() has it, and what it wrote to standard error.
struct Ended {
  int status = 0;
  std::string messages;
  bool with(int exit_status) const { return WIFEXITED(status) && WEXITSTATUS(status) == exit_status; }
  bool by(int signal) const { return WIFSIGNALED(status) && WTERMSIG(status) == signal; }
};

// Waits for a process to end, and ends it after a minute: no test leaves one behind.
inline int status_of(pid_t child) {
  int status = 0;
  for (int tries = 0; tries < 6000; ++tries) {
    if (waitpid(child, &status, WNOHANG) == child) return status;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  return status;
}

// Runs `body` in `world` processes. Exit status 2 with a message for what it throws, 3 where it fails.
inline std::vector<Ended> ends_of_ranks(std::int64_t world, const std::function<void(const Rendezvous&)>& body) {
  const std::int64_t port = free_port();
  std::vector<pid_t> children;
  std::vector<std::FILE*> messages;
  for (std::int64_t rank = 0; rank < world; ++rank) {
    messages.push_back(std::tmpfile());
    const pid_t child = fork();
    if (child == 0) {
      dup2(fileno(messages.back()), STDERR_FILENO);
      try {
        body(rank_of(rank, world, port));
      } catch (const std::exception& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        _exit(2);
      }
      _exit(testing::Test::HasFailure() ? 3 : 0);
    }
    children.push_back(child);
  }
  std::vector<Ended> out(children.size());
  for (std::size_t rank = 0; rank < children.size(); ++rank) {
    out[rank].status = status_of(children[rank]);
    std::rewind(messages[rank]);
    for (int c; (c = std::fgetc(messages[rank])) != EOF;) out[rank].messages.push_back(static_cast<char>(c));
    std::fclose(messages[rank]);
  }
  return out;
}

// Fails where `body` throws or fails in any of `world` processes.
inline void run_ranks(std::int64_t world, const std::function<void(const Rendezvous&)>& body) {
  for (const Ended& ended : ends_of_ranks(world, body)) EXPECT_TRUE(ended.with(0)) << "status " << ended.status << "\n" << ended.messages;
}

}  // namespace sluice::dist
