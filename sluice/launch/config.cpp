#include "sluice/launch/config.h"

#include <algorithm>
#include <array>
#include <optional>
#include <regex>

namespace sluice::launch {
namespace {

constexpr std::int64_t kMostRanks = 1'000'000, kLargestPort = 65535;

void check_range(const std::string& name, std::int64_t value, std::int64_t least, std::int64_t most, Violations& violations) {
  if (value >= least && value <= most) return;
  violations.add("launch." + name + " = " + std::to_string(value) + " is not from " + std::to_string(least) + " to " + std::to_string(most), "give a number in that range");
}

void check_counts(const LaunchConfig& config, Violations& violations) {
  check_range("nnodes", config.nnodes, 1, kMostRanks, violations);
  check_range("nproc_per_node", config.nproc_per_node, 1, kMostRanks, violations);
  check_range("master_port", config.master_port, 0, kLargestPort, violations);
  check_range("max_restarts", config.max_restarts, 0, 1000, violations);  // SLURM's arrays end at 1000 unless its administrator says otherwise
  check_range("cpus_per_task", config.cpus_per_task.value_or(1), 1, kMostRanks, violations);
}

bool has_control_characters(const std::string& text) {
  return std::ranges::any_of(text, [](unsigned char c) { return c < 32 || c == 127; });
}

void check_env(const LaunchConfig& config, Violations& violations) {
  static const std::regex name("[A-Za-z_][A-Za-z0-9_]*");
  for (const std::string& entry : config.env) {
    const auto equals = entry.find('=');
    if (equals == std::string::npos || !std::regex_match(entry.substr(0, equals), name) || has_control_characters(entry)) violations.add("launch.env: '" + entry + "' is not NAME=VALUE", "write --env NAME=VALUE, on one line");
  }
}

// A value that stands in an #SBATCH line or is passed to srun: sbatch reads such lines by rules of its own for quotes and blanks.
void check_word(const std::string& name, const std::string& value, Violations& violations) {
  if (!has_control_characters(value) && value.find_first_of(" \"'\\#`$") == std::string::npos) return;
  violations.add("launch." + name + " = '" + value + "' has a blank, a quote or another character that sbatch reads as something else", "use letters, digits and -_.,:/%+=@");
}

// Of "minutes", "minutes:seconds", "hours:minutes:seconds", "days-hours", "days-hours:minutes" and "days-hours:minutes:seconds", as sbatch(1)
// has them; nothing for any other text.
std::optional<std::int64_t> seconds_of(const std::string& time) {
  static const std::regex with_days(R"((\d{1,4})-(\d{1,2})(?::(\d{1,2}))?(?::(\d{1,2}))?)"), hours(R"(()(\d{1,6}):(\d{1,2}):(\d{1,2}))"), minutes(R"(()()(\d{1,8})(?::(\d{1,2}))?)");
  std::smatch part;
  if (!std::regex_match(time, part, with_days) && !std::regex_match(time, part, hours) && !std::regex_match(time, part, minutes)) return std::nullopt;
  const auto number = [&](std::size_t i) { return part[i].length() > 0 ? std::stoll(part[i]) : 0; };
  return ((number(1) * 24 + number(2)) * 60 + number(3)) * 60 + number(4);
}

void check_time(const std::string& time, Violations& violations) {
  constexpr std::int64_t kEarly = 60;  // a signal may come that much sooner (sbatch(1), --signal)
  if (time.empty()) return;
  const auto seconds = seconds_of(time);
  if (!seconds) violations.add("launch.time = '" + time + "' is not a time that SLURM reads", "write minutes (90), hours:minutes:seconds (04:00:00) or days-hours (1-12)");
  else if (*seconds <= kSecondsToSave + kEarly) violations.add("launch.time = '" + time + "' leaves no time for work: the ranks are told to save " + std::to_string(kSecondsToSave) + " seconds before it ends", "give at least 4 minutes");
}

void check_mounts(const LaunchConfig& config, Violations& violations) {
  static const std::regex form("[^:,]+:[^:,]+(:[^:,]+)?(,[^:,]+:[^:,]+(:[^:,]+)?)*");
  for (const std::string& mount : config.container_mounts) {
    if (!std::regex_match(mount, form) || has_control_characters(mount)) violations.add("launch.container_mounts: '" + mount + "' is not SOURCE:TARGET or SOURCE:TARGET:FLAGS", "write --container-mounts /data:/data:ro, several with commas between them");
  }
  if (!config.container_mounts.empty() && config.container_image.empty()) violations.add("launch.container_mounts has no effect without launch.container_image", "give --container-image, or leave the mounts out");
}

void check_slurm(const LaunchConfig& config, Violations& violations) {
  for (const auto& [name, value] : {std::pair("job_name", &config.job_name), {"account", &config.account}, {"partition", &config.partition}, {"log_dir", &config.log_dir}}) {
    check_word(name, *value, violations);
  }
  for (const auto& [name, value] : {std::pair("container_image", &config.container_image), {"program", &config.program}}) {
    if (has_control_characters(*value)) violations.add(std::string("launch.") + name + " has a line end or another control character", "give the path on one line");
  }
  if (config.job_name.empty()) violations.add("launch.job_name is empty", "leave it out for `sluice`, or give a name");
  check_time(config.time, violations);
  check_mounts(config, violations);
  for (const std::string& option : config.sbatch) {
    if (!option.starts_with("--") || has_control_characters(option)) violations.add("launch.sbatch: '" + option + "' is no option of sbatch", "write --sbatch=--qos=high, each option by itself");
  }
}

void check_local(const LaunchConfig& config, Violations& violations) {
  if (config.nnodes > 1 && config.master_addr.empty()) {
    violations.add("launch.nnodes = " + std::to_string(config.nnodes) + " without launch.master_addr: the ranks would not find each other",
                   "run `sluice launch` on each machine with --node-rank 0, 1, ... and the same --master-addr, the host of node rank 0");
  }
  if (config.nnodes >= 1 && (config.node_rank < 0 || config.node_rank >= config.nnodes)) {
    violations.add("launch.node_rank = " + std::to_string(config.node_rank) + " is none of " + std::to_string(config.nnodes) + " machines", "number them from 0: give --nnodes too");
  }
}

constexpr std::array kSlurmOnly{"job_name", "account", "partition", "time", "cpus_per_task", "requeue", "container_image", "container_mounts", "program", "sbatch"};

void check_effect(const LaunchConfig& config, const std::vector<config::Setting>& given, Violations& violations) {
  for (const config::Setting& setting : given) {
    const std::string name = setting.key.substr(setting.key.find('.') + 1);
    const bool slurms = std::ranges::find(kSlurmOnly, name) != kSlurmOnly.end();
    if (slurms && !config.slurm) violations.add(setting.key + " is given, and has no effect without launch.slurm", "add --slurm, or leave it out");
    if (name == "node_rank" && config.slurm) violations.add(setting.key + " is given, and has no effect with launch.slurm: SLURM numbers its nodes", "leave it out");
  }
}

}  // namespace

const std::vector<config::Alias>& aliases() {
  static const std::vector<config::Alias> all{
      {"launch.nodes", "launch.nnodes"},
      {"launch.ntasks_per_node", "launch.nproc_per_node"},
      {"launch.restarts", "launch.max_restarts"},
      {"launch.run_name", "launch.job_name"},
      {"launch.run_time", "launch.time"},
  };
  return all;
}

void check(const LaunchConfig& config, const std::vector<config::Setting>& given, Violations& violations) {
  check_counts(config, violations);
  check_env(config, violations);
  if (config.slurm) check_slurm(config, violations);
  else check_local(config, violations);
  check_effect(config, given, violations);
}

}  // namespace sluice::launch
