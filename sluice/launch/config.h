// How the processes of a command are started: a recipe's section `launch`, and the flags of `sluice launch`, which have the same names.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sluice/base/error.h"
#include "sluice/config/recipe.h"

namespace sluice::launch {

// What SLURM leaves between its SIGTERM and the time limit.
inline constexpr std::int64_t kSecondsToSave = 120;

struct LaunchConfig {
  std::int64_t nnodes = 1, nproc_per_node = 1, node_rank = 0, master_port = 0, max_restarts = 0;
  std::string master_addr, log_dir;
  std::vector<std::string> env;
  bool slurm = false, requeue = false;
  std::string job_name = "sluice", account, partition, time, container_image, program;
  std::vector<std::string> container_mounts, sbatch;
  std::optional<std::int64_t> cpus_per_task;

  void fields(auto&& field) {
    field("nnodes", nnodes, "Machines; also nodes.");
    field("nproc_per_node", nproc_per_node, "Processes (ranks) on each; also ntasks_per_node.");
    field("node_rank", node_rank, "Which of the machines this one is, from 0. SLURM knows it.");
    field("master_addr", master_addr, "Host of rank 0; empty = this machine, or the first of SLURM's.");
    field("master_port", master_port, "Port that the ranks meet at; 0 = a free one here, 29500 for several machines, one by the job's number for SLURM.");
    field("max_restarts", max_restarts, "How often a run that failed is started again, train from its latest checkpoint; also restarts. With SLURM an array of as many more jobs, one after another.");
    field("log_dir", log_dir, "Folder for what each rank writes, one file a rank; empty = none.");
    field("env", env, "Environment variables of the ranks, each NAME=VALUE.");
    field("slurm", slurm, "Submit a job to SLURM instead of starting processes here. What follows is for SLURM alone.");
    field("job_name", job_name, "Name of the job.");
    field("account", account, "Account that is charged; empty = SLURM's default.");
    field("partition", partition, "Partition, or several with commas; empty = SLURM's default.");
    field("time", time, "Limit of each job, as SLURM writes it: 30 (minutes), 04:00:00, 1-12 (days-hours); empty = the partition's.");
    field("cpus_per_task", cpus_per_task, "Processors of each rank; null = an even share of what SLURM gives.");
    field("requeue", requeue, "Queue the job again after a preemption, a failed node, or at its time limit; train goes on from its latest checkpoint.");
    field("container_image", container_image, "Image that the ranks run in (Pyxis); empty = none.");
    field("container_mounts", container_mounts, "Folders mounted into it, each SOURCE:TARGET or SOURCE:TARGET:FLAGS.");
    field("program", program, "The program; empty = this one by its path, or `sluice` of a container's PATH.");
    field("sbatch", sbatch, "Further options of sbatch as they are, each with its dashes: --qos=high.");
  }

  std::int64_t world() const { return nnodes * nproc_per_node; }
  bool starts_again() const { return max_restarts > 0 || (slurm && requeue); }
};

// Other spellings of settings: sbatch's, and those of Megatron's launch scripts. Their names begin with "launch.".
const std::vector<config::Alias>& aliases();

// Adds every setting that cannot be. `given` are those of the command line: one that would have no effect is an error.
void check(const LaunchConfig& config, const std::vector<config::Setting>& given, Violations& violations);

}  // namespace sluice::launch
