#include "sluice/launch/batch_script.h"

#include <gtest/gtest.h>

#include "sluice/launch/submit.h"
#include "sluice/launch/tool.h"

namespace sluice::launch {
namespace {

const Command kTrain{"/opt/sluice", {"train", "--config", "x", "--output-dir", "runs/a"}};

LaunchConfig two_nodes() {
  LaunchConfig config;
  config.slurm = true;
  config.nnodes = 2;
  config.nproc_per_node = 4;
  return config;
}

TEST(BatchScript, IsThisForAJobOfTwoNodes) {
  LaunchConfig config = two_nodes();
  config.account = "lab";
  config.partition = "big";
  config.time = "04:00:00";
  EXPECT_EQ(batch_script(config, kTrain), R"(#!/bin/bash
#SBATCH --job-name=sluice
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --account=lab
#SBATCH --partition=big
#SBATCH --time=04:00:00
#SBATCH --signal=TERM@120
#SBATCH --open-mode=append
#SBATCH --no-requeue

# Who is who, and where the ranks meet, is in SLURM's variables of a step, not in those of the shell that submitted.
unset RANK WORLD_SIZE LOCAL_RANK LOCAL_WORLD_SIZE MASTER_ADDR MASTER_PORT TORCHELASTIC_USE_AGENT_STORE
export OMP_NUM_THREADS=$((SLURM_CPUS_ON_NODE > 4 ? SLURM_CPUS_ON_NODE / 4 : 1))

command=(/opt/sluice train --config x --output-dir runs/a)

srun --kill-on-bad-exit=0 --wait=0 "${command[@]}"
status=$?
exit "$status"
)");
}

// Runs `script` by bash with `srun`, `scontrol` and `scancel` that say what they are given; srun ends with `status`.
std::string played(const std::string& script, const std::string& variables, int status) {
  const std::string stage = "export " + variables + "\nsrun() { printf '<%s>' srun \"$@\"; echo; return " + std::to_string(status) +
                            "; }\nscontrol() { echo scontrol \"$@\"; }\nscancel() { echo scancel \"$@\"; }\n";
  const ToolResult bash = run_tool({"bash"}, stage + script);
  EXPECT_EQ(bash.status, status) << bash.output;
  return bash.output;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(BatchScript, AStartAfterTheFirstGoesOnFromTheLatestCheckpoint) {
  LaunchConfig config = two_nodes();
  config.max_restarts = 3;
  const std::string script = batch_script(config, kTrain), common = "SLURM_CPUS_ON_NODE=8 SLURM_ARRAY_JOB_ID=5 ";
  EXPECT_TRUE(has(script, "#SBATCH --array=0-3%1\n"));
  const std::string first = played(script, common + "SLURM_ARRAY_TASK_ID=0", 1);
  EXPECT_TRUE(has(first, "<train>") && !has(first, "--resume"));
  for (const char* later : {"SLURM_ARRAY_TASK_ID=1", "SLURM_ARRAY_TASK_ID=0 SLURM_RESTART_COUNT=1"}) {
    EXPECT_TRUE(has(played(script, common + later, 1), "<--resume><latest>"));
  }
  EXPECT_FALSE(has(first, "scancel"));
  EXPECT_TRUE(has(played(script, common + "SLURM_ARRAY_TASK_ID=1", 0), "scancel --state=PENDING 5"));
}

TEST(BatchScript, QueuesARunAgainThatWasInterruptedAndNoOther) {
  LaunchConfig config = two_nodes();
  config.requeue = true;
  const std::string script = batch_script(config, kTrain);
  EXPECT_TRUE(has(script, "#SBATCH --requeue\n"));
  EXPECT_TRUE(has(played(script, "SLURM_CPUS_ON_NODE=8 SLURM_JOB_ID=7", 130), "scontrol requeue 7"));
  for (const int status : {0, 2, 137}) EXPECT_FALSE(has(played(script, "SLURM_CPUS_ON_NODE=8 SLURM_JOB_ID=7", status), "scontrol"));
}

TEST(BatchScript, TakesAnyWordAsItIs) {
  LaunchConfig config = two_nodes();
  config.env = {"WORD=it's $HOME; \"x\"", "EMPTY="};
  const Command train{"/a folder/sluice", {"train", "data.template={{ x }} `y` $z", "it's", ""}};
  const std::string script = batch_script(config, train);
  EXPECT_NO_THROW(check_syntax(script));
  const std::string said = played("trap 'echo \"[$WORD]\"' EXIT\n" + script, "SLURM_CPUS_ON_NODE=8", 1);
  EXPECT_TRUE(has(said, "</a folder/sluice><train><data.template={{ x }} `y` $z><it's><>")) << said;
  EXPECT_TRUE(has(said, "[it's $HOME; \"x\"]")) << said;
}

TEST(BatchScript, HasContainerLogsAndThreads) {
  LaunchConfig config = two_nodes();
  config.container_image = "lab/image:1 (new).sqsh";
  config.container_mounts = {"/data:/data:ro", "/runs:/runs"};
  config.log_dir = "logs";
  config.cpus_per_task = 6;
  config.sbatch = {"--qos=high"};
  const std::string script = batch_script(config, kTrain);
  for (const char* line : {"#SBATCH --cpus-per-task=6\n", "#SBATCH --output=logs/%x-%j.out\n", "#SBATCH --qos=high\n", "export OMP_NUM_THREADS=6\n"}) EXPECT_TRUE(has(script, line)) << line;
  const std::string said = played(script, "SLURM_CPUS_ON_NODE=64", 0);
  for (const char* word : {"<--cpus-per-task=6>", "<--container-image=lab/image:1 (new).sqsh>", "<--container-mounts=/data:/data:ro,/runs:/runs>", "<--output=logs/rank-%t.log>"}) EXPECT_TRUE(has(said, word)) << word;
}

TEST(BatchScript, SharesTheProcessorsThatSlurmGives) {
  for (const auto& [given, share] : {std::pair(64, "16"), {4, "1"}, {1, "1"}}) {
    const std::string said = played("trap 'echo \"threads $OMP_NUM_THREADS\"' EXIT\n" + batch_script(two_nodes(), kTrain), "SLURM_CPUS_ON_NODE=" + std::to_string(given), 0);
    EXPECT_TRUE(has(said, std::string("threads ") + share + "\n")) << said;
  }
}

TEST(BatchScript, OfAnotherCommandOrAChosenCheckpointIsTheSameEachTime) {
  LaunchConfig config = two_nodes();
  config.requeue = true;
  for (const Command& command : {Command{"sluice", {"convert", "--from", "a"}}, Command{"sluice", {"train", "--resume", "runs/a"}}}) {
    EXPECT_FALSE(has(batch_script(config, command), "SLURM_RESTART_COUNT"));
  }
}

}  // namespace
}  // namespace sluice::launch
