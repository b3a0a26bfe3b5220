// Which of this host's addresses others reach it by.
#pragma once
#include <cstdint>
#include <string>

namespace sluice::dist {

bool is_known_host(const std::string& host);  // a name that resolves, or an address

// The address, in figures, that this host has on the way to `host`; empty when there is no way, or no such host. Nothing is sent.
std::string own_address_towards(const std::string& host, std::int64_t port);

}  // namespace sluice::dist
