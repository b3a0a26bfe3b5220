#include "sluice/dist/rendezvous.h"

#include <gtest/gtest.h>

#include <map>

#include "sluice/base/error.h"

namespace sluice::dist {
namespace {

using Environment = std::map<std::string, std::string>;

Rendezvous found(const Environment& environment) {
  return find_rendezvous([&](const char* name) {
    const auto at = environment.find(name);
    return at == environment.end() ? std::string() : at->second;
  });
}

const Environment kTorchrun{{"RANK", "3"}, {"WORLD_SIZE", "8"}, {"LOCAL_RANK", "1"}, {"LOCAL_WORLD_SIZE", "2"}, {"MASTER_ADDR", "head"}, {"MASTER_PORT", "29500"}};

TEST(Rendezvous, IsOneProcessWhereNothingSaysOtherwise) {
  EXPECT_FALSE(found({}).many());
  EXPECT_FALSE(found({{"RANK", "0"}, {"WORLD_SIZE", "1"}}).many());
  EXPECT_FALSE(found({{"SLURM_JOB_ID", "7"}, {"SLURM_NTASKS", "4"}, {"SLURM_PROCID", "0"}}).many()) << "the batch script itself is no step of srun";
}

TEST(Rendezvous, IsTorchruns) {
  const Rendezvous here = found(kTorchrun);
  EXPECT_EQ(here.rank, 3);
  EXPECT_EQ(here.world, 8);
  EXPECT_EQ(here.local_rank, 1);
  EXPECT_EQ(here.local_world, 2);
  EXPECT_EQ(here.address, "head");
  EXPECT_EQ(here.port, 29500);
  EXPECT_EQ(here.host, StoreHost::kRank0);
  Environment agent = kTorchrun;
  agent["TORCHELASTIC_USE_AGENT_STORE"] = "True";
  agent["TORCHELASTIC_RESTART_COUNT"] = "2";
  EXPECT_EQ(found(agent).host, StoreHost::kLauncher);
  EXPECT_EQ(found(agent).attempt, 2);
}

TEST(Rendezvous, IsSlurmsInAStepOfSrun) {
  const Rendezvous here = found({{"SLURM_JOB_ID", "1234"}, {"SLURM_STEP_ID", "0"}, {"SLURM_PROCID", "5"}, {"SLURM_NTASKS", "8"}, {"SLURM_LOCALID", "1"}, {"SLURM_STEP_NODELIST", "gpu[07-08]"}});
  EXPECT_EQ(here.rank, 5);
  EXPECT_EQ(here.world, 8);
  EXPECT_EQ(here.local_rank, 1);
  EXPECT_EQ(here.address, "gpu07");
  EXPECT_EQ(here.port, 21234);
}

TEST(Rendezvous, NamesTheFirstHostOfANodeList) {
  EXPECT_EQ(first_host("node1"), "node1");
  EXPECT_EQ(first_host("node1,node2"), "node1");
  EXPECT_EQ(first_host("node[03-05,9],login1"), "node03");
  EXPECT_EQ(first_host("a,node[1-2]"), "a");
  EXPECT_EQ(first_host("rack2-node[12]"), "rack2-node12");
}

TEST(Rendezvous, RefusesWhatIsMissingOrNoNumber) {
  for (const auto& [name, value] : {std::pair{"WORLD_SIZE", ""}, {"WORLD_SIZE", "eight"}, {"RANK", "8"}, {"RANK", "-1"}, {"MASTER_ADDR", ""}, {"MASTER_PORT", ""}}) {
    Environment spoilt = kTorchrun;
    spoilt[name] = value;
    EXPECT_THROW(found(spoilt), Error) << name << "=" << value;
  }
}

}  // namespace
}  // namespace sluice::dist
