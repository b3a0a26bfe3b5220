#include "sluice/launch/local.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "sluice/base/error.h"
#include "sluice/launch/child.h"
#include "sluice/launch/environment.h"

namespace sluice::launch {
namespace {

// A folder of its own for what ranks leave behind.
class LocalRanks : public testing::Test {
 protected:
  LocalRanks() {
    std::string name = (fs::temp_directory_path() / "sluice-launch-XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  ~LocalRanks() override { fs::remove_all(folder_); }

  // Ranks that run `script` by sh, in the folder; the exit status.
  int run(const std::string& script, LaunchConfig config = {}) {
    if (config.nproc_per_node == 1) config.nproc_per_node = 3;
    return run_local(config, {"/bin/sh", {"-c", "cd " + folder_.string() + "\n" + script}}, log_);
  }
  std::string file(const std::string& name) const { return read_file(folder_ / name); }
  bool exists(const std::string& name) const { return fs::exists(folder_ / name); }

  bool lives(const std::string& pid_file) const { return kill(std::stoi(file(pid_file)), 0) == 0; }

  fs::path folder_;
  Log log_{LogLevel::kError};
};

TEST_F(LocalRanks, AreToldWhoTheyAre) {
  LaunchConfig config;
  config.nnodes = 2;
  config.node_rank = 1;
  config.nproc_per_node = 2;
  config.master_addr = "head";
  config.env = {"A=x y", "OMP_NUM_THREADS=7"};
  EXPECT_EQ(run("echo $RANK/$WORLD_SIZE $LOCAL_RANK/$LOCAL_WORLD_SIZE $MASTER_ADDR:$MASTER_PORT $A $OMP_NUM_THREADS > rank$RANK", config), 0);
  EXPECT_EQ(file("rank2"), "2/4 0/2 head:29500 x y 7\n");
  EXPECT_EQ(file("rank3"), "3/4 1/2 head:29500 x y 7\n");
}

TEST_F(LocalRanks, OfOneMachineMeetHereAtOnePort) {
  EXPECT_EQ(run("echo $MASTER_ADDR:$MASTER_PORT > rank$RANK"), 0);
  EXPECT_EQ(file("rank0"), file("rank2"));
  EXPECT_TRUE(file("rank0").starts_with("127.0.0.1:"));
}

TEST_F(LocalRanks, EndWithTheStatusOfTheFirstThatFails) {
  EXPECT_EQ(run("[ $RANK = 1 ] && exit 7; sleep 100"), 7);
  EXPECT_EQ(run("[ $RANK = 2 ] && kill -KILL $$; sleep 100"), 137);
}

TEST_F(LocalRanks, AreToldToStopWhenOneFailsAndMaySave) {
  EXPECT_EQ(run("[ $RANK = 1 ] && { while [ ! -e ready0 -o ! -e ready2 ]; do sleep 0.01; done; exit 7; }\n"
                "trap 'sleep 0.2; touch saved$RANK; exit 130' TERM\ntouch ready$RANK; while :; do sleep 0.05; done"), 7);
  EXPECT_TRUE(exists("saved0") && exists("saved2"));
}

TEST_F(LocalRanks, LeaveNothingBehindThatTheyStarted) {
  EXPECT_EQ(run("sleep 100 & echo $! > pid$RANK"), 0);
  for (const char* name : {"pid0", "pid1", "pid2"}) {
    for (int i = 0; i < 500 && lives(name); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_FALSE(lives(name));
  }
}

TEST_F(LocalRanks, AreStartedAgainAsOftenAsTheConfigSays) {
  LaunchConfig config;
  config.max_restarts = 2;
  EXPECT_EQ(run("[ $RANK = 1 ] || exit 0; echo x >> starts; [ $(wc -l < starts) -lt 3 ] && exit 7; exit 0", config), 0);
  EXPECT_EQ(file("starts"), "x\nx\nx\n");
  EXPECT_EQ(run("[ $RANK = 1 ] || exit 0; echo x >> more; exit 7", config), 7);
  EXPECT_EQ(file("more"), "x\nx\nx\n");
}

TEST_F(LocalRanks, AreNotStartedAgainAfterAMistakeOrAnInterrupt) {
  LaunchConfig config;
  config.max_restarts = 2;
  for (const char* status : {"2", "130"}) {
    EXPECT_EQ(run("[ $RANK = 1 ] || exit 0; echo x >> starts" + std::string(status) + "; exit " + status, config), std::stoi(status));
    EXPECT_EQ(file("starts" + std::string(status)), "x\n");
  }
}

TEST_F(LocalRanks, GetTheSignalsThatWeGet) {
  LaunchConfig config;
  config.max_restarts = 2;
  const int status = run("trap 'echo term >> got$RANK; exit 130' TERM; touch ready$RANK\n"
                         "[ $RANK = 0 ] && { while [ ! -e ready1 -o ! -e ready2 ]; do sleep 0.01; done; kill -TERM $PPID; }\n"
                         "while :; do sleep 0.05; done", config);
  EXPECT_EQ(status, 130);
  for (const char* name : {"got0", "got1", "got2"}) EXPECT_EQ(file(name), "term\n") << "once, and no restart";
}

TEST_F(LocalRanks, WriteFilesOfTheirOwn) {
  LaunchConfig config;
  config.log_dir = (folder_ / "logs").string();
  testing::internal::CaptureStderr();
  EXPECT_EQ(run("echo out$RANK; echo err$RANK >&2; printf end$RANK >&2", config), 0);
  const std::string shown = testing::internal::GetCapturedStderr();
  EXPECT_EQ(file("logs/rank-0.log"), "err0\nend0\n") << "rank 0's output is data";
  EXPECT_EQ(file("logs/rank-2.log"), "out2\nerr2\nend2\n");
  for (const char* line : {"[rank 2] out2\n", "[rank 2] err2\n", "[rank 2] end2\n", "err0\n", "end0\n"}) EXPECT_NE(shown.find(line), std::string::npos) << shown;
  EXPECT_EQ(shown.find("[rank 0]"), std::string::npos);
}

TEST_F(LocalRanks, WhoseOutputIsLongArriveWhole) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(run("[ $RANK = 1 ] && yes 0123456789 | head -n 100000; exit 0"), 0);
  const std::string shown = testing::internal::GetCapturedStderr();
  EXPECT_EQ(shown.size(), 100000 * std::string("[rank 1] 0123456789\n").size());
}

TEST(Environment, OfAnotherLauncherDoesNotReachTheRanks) {
  const std::vector<std::string> inherited{"PATH=/bin", "RANK=3", "TORCHELASTIC_USE_AGENT_STORE=True", "A=1"};
  EXPECT_EQ(merged(inherited, {"RANK=0", "A=2", "A=3"}), (std::vector<std::string>{"PATH=/bin", "RANK=0", "A=3"}));
}

TEST(Command, StartedAgainGoesOn) {
  using Words = std::vector<std::string>;
  EXPECT_EQ(restarted({"p", {"train", "--config", "x"}}).arguments, (Words{"train", "--config", "x", "--resume", "latest"}));
  for (const Words& same : {Words{"train", "--resume", "runs/a"}, Words{"train", "--resume=latest"}, Words{"doctor"}}) EXPECT_EQ(restarted({"p", same}).arguments, same);
}

TEST(Child, ThatCannotBeRunSaysSoByItsStatus) {
  EXPECT_EQ(Child({"/no/such/program"}, {}, {}).wait(), 127);
  EXPECT_EQ(describe_status(137), "signal 9 (Killed)");
}

}  // namespace
}  // namespace sluice::launch
