// Who this process is among the processes of a run, as torchrun, SLURM or plain environment variables say.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

namespace sluice::dist {

// What is kept by the launcher: torchrun's agent holds the store that the ranks meet in, elsewhere rank 0 does.
enum class StoreHost { kRank0, kLauncher };

struct Rendezvous {
  std::int64_t rank = 0, world = 1, local_rank = 0, local_world = 1;
  std::string address;     // of the host that the store is on; empty for one process
  std::int64_t port = 0;
  StoreHost host = StoreHost::kRank0;
  std::int64_t attempt = 0;  // how often the launcher has started the ranks again

  bool many() const { return world > 1; }
};

// RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR and MASTER_PORT (torchrun's, and anybody's); else SLURM's variables of a step of several
// tasks (srun), whose first node is the address. One process where there are neither. Error for variables that are missing or no numbers.
// `variable` gives a variable's value, empty where it is not set.
Rendezvous find_rendezvous(const std::function<std::string(const char* name)>& variable);
Rendezvous find_rendezvous();  // of this process's environment

// The first host of a SLURM node list: "node[03-05,9],login1" -> "node03".
std::string first_host(const std::string& node_list);

}  // namespace sluice::dist
