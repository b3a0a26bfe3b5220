// Runs a test's body in several processes that meet as the ranks of a run.
#pragma once
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <functional>
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

// Fails where `body` throws or fails in any of `world` processes.
inline void run_ranks(std::int64_t world, const std::function<void(const Rendezvous&)>& body) {
  const std::int64_t port = free_port();
  std::vector<pid_t> children;
  for (std::int64_t rank = 0; rank < world; ++rank) {
    const pid_t child = fork();
    if (child == 0) {
      try {
        Rendezvous here;
        here.rank = here.local_rank = rank;
        here.world = here.local_world = world;
        here.address = "127.0.0.1";
        here.port = port;
        body(here);
      } catch (const std::exception& error) {
        std::fprintf(stderr, "rank %ld: %s\n", static_cast<long>(rank), error.what());
        _exit(3);
      }
      _exit(testing::Test::HasFailure() ? 2 : 0);
    }
    children.push_back(child);
  }
  for (std::size_t rank = 0; rank < children.size(); ++rank) {
    int status = 0;
    waitpid(children[rank], &status, 0);
    EXPECT_EQ(status, 0) << "rank " << rank;
  }
}

}  // namespace sluice::dist
