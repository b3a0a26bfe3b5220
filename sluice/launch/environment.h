// What a rank started here finds in its environment: who it is, where the ranks meet, its share of the processors.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "sluice/launch/config.h"

namespace sluice::launch {

struct MeetingPlace {
  std::string address;
  std::int64_t port = 0;
};

// Of several machines the one that the config gives; of one, this host at a port that is free now, unless the config says otherwise.
// Error when the host has no free port.
MeetingPlace meeting_place(const LaunchConfig& config);

// torchrun's variables of the machine's rank `local_rank`, and the config's own, which come last; each NAME=VALUE. kShare: OMP_NUM_THREADS too,
// so that the machine's ranks share its processors.
enum class Threads { kShare, kAsInherited };
std::vector<std::string> rank_variables(const LaunchConfig& config, std::int64_t local_rank, const MeetingPlace& place, Threads threads);

// `inherited` without the names that another launcher's rank or `added` has, and `added` behind them, the last of a name alone.
std::vector<std::string> merged(const std::vector<std::string>& inherited, const std::vector<std::string>& added);

// The whole environment of this process.
std::vector<std::string> own_environment();

}  // namespace sluice::launch
