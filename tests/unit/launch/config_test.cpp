#include "sluice/launch/config.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace sluice::launch {
namespace {

// What is wrong with `config`, or "" where nothing is.
std::string problem(const LaunchConfig& config, const std::vector<config::Setting>& given = {}) {
  Violations violations;
  check(config, given, violations);
  try {
    violations.raise("the settings");
    return "";
  } catch (const Error& error) {
    return error.problem();
  }
}

LaunchConfig slurm() {
  LaunchConfig config;
  config.slurm = true;
  return config;
}

TEST(LaunchConfig, TimesAreThoseThatSlurmReads) {
  for (const char* time : {"", "4", "30", "90:00", "3:01", "04:00:00", "1-12", "2-00:30", "7-00:00:00"}) {
    LaunchConfig config = slurm();
    config.time = time;
    EXPECT_EQ(problem(config), "") << time;
  }
  for (const char* time : {"4h", "1:2:3:4", "1-", "-1", "3", "00:02:00", "3:00", "04:00:00\n#SBATCH --account=x", " 30"}) {
    LaunchConfig config = slurm();
    config.time = time;
    EXPECT_NE(problem(config).find("launch.time"), std::string::npos) << time;
  }
}

TEST(LaunchConfig, MountsHaveASourceAndATarget) {
  for (const auto& [mount, good] : {std::pair("/a:/b", true), {"/a:/b:ro", true}, {"/a:/b,/c:/d:rw", true}, {"/a", false}, {"/a:", false}, {"/a:/b:ro:x", false}, {"/a:/b,", false}, {"", false}}) {
    LaunchConfig config = slurm();
    config.container_image = "image.sqsh";
    config.container_mounts = {mount};
    EXPECT_EQ(problem(config).empty(), good) << mount;
  }
  LaunchConfig config = slurm();
  config.container_mounts = {"/a:/b"};
  EXPECT_NE(problem(config).find("without launch.container_image"), std::string::npos);
}

TEST(LaunchConfig, NothingEndsALineOfTheScriptEarly) {
  for (auto member : {&LaunchConfig::job_name, &LaunchConfig::account, &LaunchConfig::partition, &LaunchConfig::log_dir}) {
    LaunchConfig config = slurm();
    config.*member = "a\n#SBATCH --nodes=9";
    EXPECT_NE(problem(config), "");
    config.*member = "a b";
    EXPECT_NE(problem(config), "");
    config.*member = "a,b-c_1.2";
    EXPECT_EQ(problem(config), "");
  }
  LaunchConfig config = slurm();
  config.sbatch = {"--comment=x\n#SBATCH --nodes=9"};
  EXPECT_NE(problem(config), "");
  config.sbatch = {"qos=high"};
  EXPECT_NE(problem(config), "");
}

TEST(LaunchConfig, VariablesHaveANameAndAValue) {
  for (const auto& [entry, good] : {std::pair("A=1", true), {"_a1=", true}, {"A=b=c", true}, {"A", false}, {"1A=1", false}, {"A B=1", false}, {"=1", false}, {"A=1\nB=2", false}}) {
    LaunchConfig config;
    config.env = {entry};
    EXPECT_EQ(problem(config).empty(), good) << entry;
  }
}

TEST(LaunchConfig, SeveralMachinesNeedAPlaceToMeet) {
  LaunchConfig config;
  config.nnodes = 2;
  EXPECT_NE(problem(config).find("master_addr"), std::string::npos);
  config.slurm = true;
  EXPECT_EQ(problem(config), "") << "SLURM says where";
  config.slurm = false;
  config.master_addr = "head";
  config.node_rank = 1;
  EXPECT_EQ(problem(config), "");
  config.node_rank = 2;
  EXPECT_NE(problem(config).find("node_rank = 2"), std::string::npos);
}

TEST(LaunchConfig, CountsAreCounts) {
  for (auto member : {&LaunchConfig::nnodes, &LaunchConfig::nproc_per_node}) {
    LaunchConfig config;
    config.*member = 0;
    EXPECT_NE(problem(config), "");
  }
  LaunchConfig config;
  config.max_restarts = -1;
  config.master_port = 70000;
  EXPECT_NE(problem(config).find("2 problems"), std::string::npos) << "all are said together";
}

TEST(LaunchConfig, AFlagWithoutEffectIsAnErrorAndARecipesSettingIsNone) {
  LaunchConfig config;
  config.account = "a";
  EXPECT_EQ(problem(config), "");
  EXPECT_NE(problem(config, {{"launch.account", {{"a"}}, "command line"}}).find("launch.account"), std::string::npos);
  EXPECT_NE(problem(slurm(), {{"launch.node_rank", {{"0"}}, "command line"}}).find("launch.node_rank"), std::string::npos);
}

}  // namespace
}  // namespace sluice::launch
