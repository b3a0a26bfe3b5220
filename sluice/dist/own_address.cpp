#include "sluice/dist/own_address.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>

namespace sluice::dist {

namespace {

// Null where none is known.
std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses_of(const std::string& host, const char* port) {
  addrinfo wanted{}, *found = nullptr;
  wanted.ai_socktype = SOCK_DGRAM;
  return {getaddrinfo(host.c_str(), port, &wanted, &found) == 0 ? found : nullptr, freeaddrinfo};
}

}  // namespace

bool is_known_host(const std::string& host) { return addresses_of(host, nullptr) != nullptr; }

std::string own_address_towards(const std::string& host, std::int64_t port) {
  const auto found = addresses_of(host, std::to_string(port).c_str());
  for (const addrinfo* to = found.get(); to; to = to->ai_next) {
    const int socket_ = socket(to->ai_family, SOCK_DGRAM, 0);
    if (socket_ < 0) continue;
    sockaddr_storage own{};
    socklen_t size = sizeof own;
    const bool known = connect(socket_, to->ai_addr, to->ai_addrlen) == 0 && getsockname(socket_, reinterpret_cast<sockaddr*>(&own), &size) == 0;
    close(socket_);
    std::array<char, NI_MAXHOST> text{};
    if (known && getnameinfo(reinterpret_cast<sockaddr*>(&own), size, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) == 0) return text.data();
  }
  return "";
}

}  // namespace sluice::dist
