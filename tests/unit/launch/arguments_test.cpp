#include "sluice/launch/arguments.h"

#include <gtest/gtest.h>

#include "sluice/base/error.h"
#include "sluice/config/fields.h"
#include "sluice/launch/config.h"

namespace sluice::launch {
namespace {

using Words = std::vector<std::string>;

LaunchConfig config_of(const Words& words) {
  LaunchConfig config;
  Violations violations;
  config::apply(config, parse_arguments(words).settings, violations, "launch");
  violations.raise("the flags");
  return config;
}

TEST(LaunchArguments, EndWhereTheCommandBegins) {
  const Arguments given = parse_arguments({"--nproc-per-node", "4", "train", "--config", "x", "--dry-run", "launch.nnodes=2"});
  EXPECT_EQ(given.command, (Words{"train", "--config", "x", "--dry-run", "launch.nnodes=2"}));
  EXPECT_FALSE(given.dry_run) << "it is train's";
  ASSERT_EQ(given.settings.size(), 1);
  EXPECT_EQ(given.settings[0].key, "launch.nproc_per_node");
}

TEST(LaunchArguments, MeanTrainWhereNoCommandIsNamed) {
  const Arguments given = parse_arguments({"--config", "x", "--slurm", "optimizer.lr=1", "--nodes", "2", "--output-dir", "out", "--dry-run"});
  EXPECT_EQ(given.command, (Words{"train", "--config", "x", "optimizer.lr=1", "--output-dir", "out"}));
  EXPECT_TRUE(given.dry_run);
  EXPECT_EQ(given.settings.size(), 2);
  EXPECT_TRUE(parse_arguments({"--slurm"}).command.empty());
}

TEST(LaunchArguments, NearOneOfOursAreSlipsAndNotTrains) {
  for (const char* slip : {"--nodez", "--ntasks_per_nod=4", "--requeu"}) EXPECT_THROW(parse_arguments({slip, "--config", "x"}), Error) << slip;
  EXPECT_EQ(parse_arguments({"--slurm", "train", "--nodez"}).command, (Words{"train", "--nodez"})) << "train says what it thinks of that";
}

TEST(LaunchArguments, HaveTheNamesOfTorchrunAndOfSbatch) {
  const LaunchConfig torchruns = config_of({"--nproc_per_node=8", "--nnodes", "4", "--node_rank", "3", "--master_addr", "head", "--max-restarts", "2"});
  EXPECT_EQ(torchruns.world(), 32);
  EXPECT_EQ(torchruns.node_rank, 3);
  EXPECT_EQ(torchruns.master_addr, "head");
  const LaunchConfig sbatchs = config_of({"--slurm", "--ntasks-per-node=8", "--nodes", "4", "--restarts", "2", "--requeue", "--run-time", "30"});
  EXPECT_EQ(sbatchs.world(), 32);
  EXPECT_EQ(sbatchs.max_restarts, torchruns.max_restarts);
  EXPECT_TRUE(sbatchs.slurm && sbatchs.requeue);
  EXPECT_EQ(sbatchs.time, "30");
}

TEST(LaunchArguments, GatherLists) {
  const LaunchConfig config = config_of({"--env", "A=1", "--slurm", "--env=B=x,y", "--sbatch=--qos=high"});
  EXPECT_EQ(config.env, (Words{"A=1", "B=x,y"}));
  EXPECT_EQ(config.sbatch, (Words{"--qos=high"}));
}

TEST(LaunchArguments, OfAFlagWithoutItsValueAreAnError) {
  EXPECT_THROW(parse_arguments({"--nnodes"}), Error);
  EXPECT_THROW(config_of({"--nnodes", "two"}), Error);
}

}  // namespace
}  // namespace sluice::launch
