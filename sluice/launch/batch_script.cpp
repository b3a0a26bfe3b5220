#include "sluice/launch/batch_script.h"

#include "sluice/base/interrupt.h"

namespace sluice::launch {
namespace {

std::string join(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ",") + word;
  return out;
}

std::string header(const LaunchConfig& config) {
  std::vector<std::string> options{"--job-name=" + config.job_name, "--nodes=" + std::to_string(config.nnodes), "--ntasks-per-node=" + std::to_string(config.nproc_per_node)};
  if (config.cpus_per_task) options.push_back("--cpus-per-task=" + std::to_string(*config.cpus_per_task));
  if (!config.account.empty()) options.push_back("--account=" + config.account);
  if (!config.partition.empty()) options.push_back("--partition=" + config.partition);
  if (!config.time.empty()) options.push_back("--time=" + config.time);
  options.push_back("--signal=TERM@" + std::to_string(kSecondsToSave));
  options.push_back("--open-mode=append");
  if (!config.log_dir.empty()) options.push_back("--output=" + config.log_dir + "/%x-%j.out");
  options.push_back(config.requeue ? "--requeue" : "--no-requeue");  // whatever the cluster's default is
  if (config.max_restarts > 0) options.push_back("--array=0-" + std::to_string(config.max_restarts) + "%1");
  options.insert(options.end(), config.sbatch.begin(), config.sbatch.end());
  std::string out = "#!/bin/bash\n";
  for (const std::string& option : options) out += "#SBATCH " + option + "\n";
  return out;
}

std::string environment(const LaunchConfig& config) {
  std::string out = "# Who is who, and where the ranks meet, is in SLURM's variables of a step, not in those of the shell that submitted.\n"
                    "unset RANK WORLD_SIZE LOCAL_RANK LOCAL_WORLD_SIZE MASTER_ADDR MASTER_PORT TORCHELASTIC_USE_AGENT_STORE\n";
  out += "export OMP_NUM_THREADS=" + (config.cpus_per_task ? std::to_string(*config.cpus_per_task) : "$((SLURM_CPUS_ON_NODE > " + std::to_string(config.nproc_per_node) + " ? SLURM_CPUS_ON_NODE / " + std::to_string(config.nproc_per_node) + " : 1))") + "\n";
  if (!config.master_addr.empty()) out += "export MASTER_ADDR=" + shell_word(config.master_addr) + "\n";
  if (config.master_port != 0) out += "export MASTER_PORT=" + std::to_string(config.master_port) + "\n";
  for (const std::string& entry : config.env) {
    const auto value = entry.find('=') + 1;
    out += "export " + entry.substr(0, value) + shell_word(entry.substr(value)) + "\n";
  }
  return out;
}

// The command as the array `command`; another one for a start after the first, where there may be one and that differs.
std::string commands(const LaunchConfig& config, const Command& command) {
  const std::string first = shell_line(command.words()), later = shell_line(restarted(command).words());
  const std::string out = "command=(" + first + ")\n";
  if (!config.starts_again() || later == first) return out;
  return out + "if [ $((${SLURM_RESTART_COUNT:-0} + ${SLURM_ARRAY_TASK_ID:-0})) -gt 0 ]; then\n  command=(" + later + ")\nfi\n";
}

// A rank that ends before the others is no reason to kill them, whatever the cluster's default is: rank 0 may be saving.
std::string step(const LaunchConfig& config) {
  std::vector<std::string> words{"srun", "--kill-on-bad-exit=0", "--wait=0"};
  if (config.cpus_per_task) words.push_back("--cpus-per-task=" + std::to_string(*config.cpus_per_task));
  if (!config.log_dir.empty()) words.insert(words.end(), {"--output=" + config.log_dir + "/rank-%t.log", "--open-mode=append"});
  if (!config.container_image.empty()) words.push_back("--container-image=" + config.container_image);
  if (!config.container_mounts.empty()) words.push_back("--container-mounts=" + join(config.container_mounts));
  return shell_line(words) + " \"${command[@]}\"\nstatus=$?\n";
}

std::string ending(const LaunchConfig& config) {
  std::string out;
  if (config.requeue) {
    out += "# Interrupted after saving: SLURM queues by itself only what it has killed.\n"
           "if [ \"$status\" -eq " + std::to_string(kInterruptedStatus) + " ]; then\n  scontrol requeue \"$SLURM_JOB_ID\"\nfi\n";
  }
  if (config.max_restarts > 0) {
    out += "# Done: the jobs of the array that wait for their turn have nothing left to do.\n"
           "if [ \"$status\" -eq 0 ]; then\n  scancel --state=PENDING \"$SLURM_ARRAY_JOB_ID\"\nfi\n";
  }
  return out + "exit \"$status\"\n";
}

}  // namespace

std::string batch_script(const LaunchConfig& config, const Command& command) {
  return header(config) + "\n" + environment(config) + "\n" + commands(config, command) + "\n" + step(config) + ending(config);
}

}  // namespace sluice::launch
