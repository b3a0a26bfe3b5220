#include "sluice/launch/environment.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <set>

#include "sluice/base/error.h"
#include "sluice/base/threads.h"

namespace sluice::launch {
namespace {

constexpr std::int64_t kTorchrunsPort = 29500;  // its default for several machines

// Whoever started this program may be a launcher itself: its word on ranks is not ours.
constexpr std::array kOfOtherLaunchers{"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_USE_AGENT_STORE", "TORCHELASTIC_RESTART_COUNT"};

// A port that nothing listens at now. Another program may take it before rank 0 does, which then says so.
std::int64_t free_port() {
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  const bool found = descriptor >= 0 && bind(descriptor, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                     getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  const int reason = errno;
  if (descriptor >= 0) close(descriptor);
  if (!found) throw Error(std::string("no port is free for the ranks to meet at: ") + std::strerror(reason), "give one with --master-port");
  return ntohs(address.sin_port);
}

std::string name_of(const std::string& entry) { return entry.substr(0, entry.find('=')); }

}  // namespace

MeetingPlace meeting_place(const LaunchConfig& config) {
  const bool alone = config.nnodes == 1;
  MeetingPlace place{config.master_addr, config.master_port};
  if (place.address.empty()) place.address = "127.0.0.1";
  if (place.port == 0) place.port = alone ? free_port() : kTorchrunsPort;
  return place;
}

std::vector<std::string> rank_variables(const LaunchConfig& config, std::int64_t local_rank, const MeetingPlace& place, Threads threads) {
  const std::int64_t local_world = config.nproc_per_node;
  std::vector<std::string> out{"RANK=" + std::to_string(config.node_rank * local_world + local_rank),
                               "WORLD_SIZE=" + std::to_string(config.world()),
                               "LOCAL_RANK=" + std::to_string(local_rank),
                               "LOCAL_WORLD_SIZE=" + std::to_string(local_world),
                               "MASTER_ADDR=" + place.address,
                               "MASTER_PORT=" + std::to_string(place.port)};
  if (threads == Threads::kShare) out.push_back("OMP_NUM_THREADS=" + std::to_string(std::max<std::int64_t>(1, num_processors() / local_world)));
  out.insert(out.end(), config.env.begin(), config.env.end());
  return out;
}

std::vector<std::string> merged(const std::vector<std::string>& inherited, const std::vector<std::string>& added) {
  std::set<std::string> taken(kOfOtherLaunchers.begin(), kOfOtherLaunchers.end());
  for (const std::string& entry : added) taken.insert(name_of(entry));
  std::vector<std::string> out;
  std::ranges::copy_if(inherited, std::back_inserter(out), [&](const std::string& entry) { return !taken.contains(name_of(entry)); });
  for (auto entry = added.begin(); entry != added.end(); ++entry) {
    const bool last = std::none_of(entry + 1, added.end(), [&](const std::string& later) { return name_of(later) == name_of(*entry); });
    if (last) out.push_back(*entry);
  }
  return out;
}

std::vector<std::string> own_environment() {
  std::vector<std::string> out;
  for (char** entry = environ; *entry; ++entry) out.emplace_back(*entry);
  return out;
}

}  // namespace sluice::launch
