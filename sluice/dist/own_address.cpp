#include "sluice/dist/own_address.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>

namespace sluice::dist {

std::string own_address_towards(const std::string& host, std::int64_t port) {
  addrinfo wanted{}, *found = nullptr;
  wanted.ai_socktype = SOCK_DGRAM;
  if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &wanted, &found) != 0) return "";
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, freeaddrinfo);
  for (const addrinfo* to = found; to; to = to->ai_next) {
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
