#include "sluice/dist/rendezvous.h"

#include <charconv>
#include <cstdlib>

#include "sluice/base/error.h"

namespace sluice::dist {
namespace {

using Variable = std::function<std::string(const char* name)>;

constexpr const char* kRemedy = "start the ranks with torchrun --no-python, srun or sluice launch, or set RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT; for one process unset them";
constexpr std::int64_t kFirstSlurmPort = 20000, kNumSlurmPorts = 40000;

std::int64_t number(const Variable& variable, const char* name) {
  const std::string text = variable(name);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty()) throw Error(std::string("the environment has no ") + name + ", which says where the ranks of a run meet", kRemedy);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) throw Error(std::string(name) + " = '" + text + "' in the environment is no number", kRemedy);
  return value;
}

std::int64_t number_or(const Variable& variable, const char* name, std::int64_t otherwise) { return variable(name).empty() ? otherwise : number(variable, name); }

void check(const Rendezvous& found) {
  if (found.world < 1 || found.rank >= found.world) {
    throw Error("rank " + std::to_string(found.rank) + " of " + std::to_string(found.world) + " processes, as the environment has it, is not one of them", kRemedy);
  }
}

Rendezvous by_torchrun(const Variable& variable) {
  Rendezvous found;
  found.rank = number(variable, "RANK");
  found.world = number(variable, "WORLD_SIZE");
  check(found);
  if (!found.many()) return found;
  found.local_rank = number_or(variable, "LOCAL_RANK", found.rank);
  found.local_world = number_or(variable, "LOCAL_WORLD_SIZE", found.world);
  found.address = variable("MASTER_ADDR");
  if (found.address.empty()) throw Error("the environment has no MASTER_ADDR, which says where the ranks of a run meet", kRemedy);
  found.port = number(variable, "MASTER_PORT");
  found.host = variable("TORCHELASTIC_USE_AGENT_STORE") == "True" ? StoreHost::kLauncher : StoreHost::kRank0;
  found.attempt = number_or(variable, "TORCHELASTIC_RESTART_COUNT", 0);
  return found;
}

Rendezvous by_slurm(const Variable& variable) {
  Rendezvous found;
  found.rank = number(variable, "SLURM_PROCID");
  found.world = number(variable, "SLURM_NTASKS");
  check(found);
  if (!found.many()) return found;
  found.local_rank = number(variable, "SLURM_LOCALID");
  found.local_world = number_or(variable, "SLURM_NTASKS_PER_NODE", found.world);
  const std::string nodes = variable("SLURM_STEP_NODELIST").empty() ? variable("SLURM_JOB_NODELIST") : variable("SLURM_STEP_NODELIST");
  found.address = variable("MASTER_ADDR").empty() ? first_host(nodes) : variable("MASTER_ADDR");
  if (found.address.empty()) throw Error("the environment has no SLURM_JOB_NODELIST, which says where the ranks of a run meet", kRemedy);
  // Jobs that share a node meet at ports of their own.
  found.port = number_or(variable, "MASTER_PORT", kFirstSlurmPort + number(variable, "SLURM_JOB_ID") % kNumSlurmPorts);
  found.attempt = number_or(variable, "SLURM_RESTART_COUNT", 0);
  return found;
}

}  // namespace

std::string first_host(const std::string& node_list) {
  const std::size_t bracket = node_list.find('['), comma = node_list.find(',');
  if (bracket == std::string::npos || comma < bracket) return node_list.substr(0, comma);
  return node_list.substr(0, bracket) + node_list.substr(bracket + 1, node_list.find_first_of("-,]", bracket) - bracket - 1);
}

Rendezvous find_rendezvous(const Variable& variable) {
  if (!variable("WORLD_SIZE").empty() || !variable("RANK").empty()) return by_torchrun(variable);
  if (!variable("SLURM_STEP_ID").empty() && !variable("SLURM_PROCID").empty()) return by_slurm(variable);
  return {};
}

Rendezvous find_rendezvous() {
  return find_rendezvous([](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value ? value : "");
  });
}

}  // namespace sluice::dist
