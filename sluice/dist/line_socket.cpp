#include "sluice/dist/line_socket.h"

#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "sluice/base/error.h"

namespace sluice::dist {
namespace {

constexpr std::size_t kMaxLine_bytes = 1 << 16;  // who sends more without an end of line is none of ours

// Programs that are started from here must not hold a connection open: hence SOCK_CLOEXEC everywhere.
int stream_socket(int family, int flags) { return socket(family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0); }

bool listens(int descriptor, const sockaddr* address, socklen_t size) {
  return descriptor >= 0 && bind(descriptor, address, size) == 0 && listen(descriptor, SOMAXCONN) == 0;
}

// On all addresses of this host, of both families where it has IPv6; negative on failure.
int listen_anywhere() {
  const int both = stream_socket(AF_INET6, SOCK_NONBLOCK), no = 0;
  sockaddr_in6 any6{};
  any6.sin6_family = AF_INET6;
  if (both >= 0) setsockopt(both, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
  if (listens(both, reinterpret_cast<sockaddr*>(&any6), sizeof any6)) return both;
  if (both >= 0) close(both);
  const int old = stream_socket(AF_INET, SOCK_NONBLOCK);
  sockaddr_in any4{};
  any4.sin_family = AF_INET;
  if (listens(old, reinterpret_cast<sockaddr*>(&any4), sizeof any4)) return old;
  if (old >= 0) close(old);
  return -1;
}

}  // namespace

LineSocket::~LineSocket() { close(); }

void LineSocket::close() {
  closed_ = true;
  if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
}

void LineSocket::close_after_other(std::chrono::steady_clock::time_point until) {
  using namespace std::chrono;
  flush();
  if (!closed_) shutdown(descriptor_, SHUT_WR);
  pollfd readable{descriptor_, POLLIN, 0};
  while (!closed_ && steady_clock::now() < until) {
    poll(&readable, 1, static_cast<int>(duration_cast<milliseconds>(until - steady_clock::now()).count()));
    receive();
  }
  close();
}

LineSocket::LineSocket(LineSocket&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), closed_(other.closed_), in_(std::move(other.in_)), out_(std::move(other.out_)) {}

LineSocket LineSocket::to(const std::string& host, std::int64_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failure = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, &freeaddrinfo);
  std::string reason = failure ? gai_strerror(failure) : "it has no address";
  for (const addrinfo* at = found; at && !failure; at = at->ai_next) {
    LineSocket out(stream_socket(at->ai_family, 0));
    if (out.descriptor_ >= 0 && connect(out.descriptor_, at->ai_addr, at->ai_addrlen) == 0) return out;
    reason = std::strerror(errno);
  }
  throw Error("no connection to " + host + ":" + std::to_string(port) + ": " + reason, "see that each host of the run reaches every port of the others");
}

void LineSocket::send(const std::string& line) {
  out_ += line + "\n";
  flush();
}

void LineSocket::flush() {
  while (!out_.empty() && !closed_) {
    const ssize_t sent = ::send(descriptor_, out_.data(), out_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return;  // full, or closed: receive() finds out
    out_.erase(0, static_cast<std::size_t>(sent));
  }
}

std::vector<std::string> LineSocket::receive() {
  flush();
  char bytes[4096];
  while (!closed_) {
    const ssize_t got = recv(descriptor_, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (got > 0) in_.append(bytes, static_cast<std::size_t>(got));
    closed_ = got <= 0 || (in_.size() > kMaxLine_bytes && in_.find('\n') == std::string::npos);
  }
  std::vector<std::string> lines;
  for (std::size_t end; (end = in_.find('\n')) != std::string::npos; in_.erase(0, end + 1)) lines.push_back(in_.substr(0, end));
  return lines;
}

LineListener::LineListener() : descriptor_(listen_anywhere()) {
  if (descriptor_ < 0) throw Error(std::string("no port of this host can be listened on: ") + std::strerror(errno), "see the limits of open files and sockets (ulimit -n)");
}

LineListener::~LineListener() { close(descriptor_); }

std::int64_t LineListener::port() const {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  getsockname(descriptor_, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&address)->sin6_port : reinterpret_cast<sockaddr_in*>(&address)->sin_port);
}

std::vector<LineSocket> LineListener::accept() {
  std::vector<LineSocket> out;
  for (int descriptor; (descriptor = accept4(descriptor_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) out.emplace_back(descriptor);
  return out;
}

}  // namespace sluice::dist
