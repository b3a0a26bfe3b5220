#include "sluice/dist/watch.h"

#include <ATen/ATen.h>
#include <signal.h>

#include <fstream>

#include "ranks.h"
#include "sluice/base/error.h"
#include "sluice/dist/gloo.h"
#include "sluice/dist/observers.h"

namespace sluice::dist {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::seconds kPatience{40};
constexpr WatchTimes kTimes{.beat = 100ms, .silence = 1500ms, .patience = 30s, .settle = 300ms, .grace = 500ms};

// A rank as a run has it.
struct Member {
  explicit Member(const Rendezvous& here, const WatchTimes& times = kTimes) : meeting(here, kPatience), world(group("world", here.world)) {
    watch = std::make_unique<Watch>(here, times, [&](const std::string& text) { return meeting.from_rank0("watch", text); });
    meeting.observers()->watch = watch.get();
    world->barrier();
    watch->set_step(17);
  }

  std::unique_ptr<Group> group(const std::string& name, std::int64_t size) const {
    std::vector<std::int64_t> ranks;
    for (std::int64_t rank = 0; rank < size; ++rank) ranks.push_back(rank);
    return meeting.group(name, ranks, kPatience);
  }

  Meeting meeting;
  std::unique_ptr<Group> world;
  std::unique_ptr<Watch> watch;  // ends before the group
};

// Rank `culprit` does `harm` at step 17, where the others wait for it.
std::vector<Ended> harmed_by(std::int64_t culprit, const std::function<void()>& harm, const WatchTimes& times = kTimes) {
  return ends_of_ranks(3, [&](const Rendezvous& here) {
    Member member(here, times);
    if (here.rank == culprit) harm();
    member.world->sum(1);
  });
}

// One message in all, of `teller`; the other ranks but `culprit` end with status 2 and say nothing.
void expect_one_message(const std::vector<Ended>& ranks, std::size_t culprit, std::size_t teller, const std::string& message) {
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    EXPECT_TRUE(rank == culprit || ranks[rank].with(2)) << "rank " << rank << ": status " << ranks[rank].status;
    EXPECT_TRUE(rank == teller || ranks[rank].messages.empty()) << "rank " << rank << ": " << ranks[rank].messages;
  }
  const std::string& said = ranks[teller].messages;
  EXPECT_TRUE(said.starts_with("error: rank " + std::to_string(culprit) + " (host ")) << said;
  EXPECT_NE(said.find(message), std::string::npos) << said;
  EXPECT_EQ(said.find("error: ", 1), std::string::npos) << said;
}

TEST(Watch, ADeadRankEndsTheOthersWithOneMessage) {
  const auto ranks = harmed_by(2, [] { raise(SIGKILL); });
  EXPECT_TRUE(ranks[2].by(SIGKILL));
  expect_one_message(ranks, 2, 0, "died during the all-reduce of the group world at step 17");
}

TEST(Watch, AStoppedRankEndsTheOthersAndIsEndedToo) {
  const auto ranks = harmed_by(1, [] { raise(SIGSTOP); });
  EXPECT_TRUE(ranks[1].by(SIGKILL));
  expect_one_message(ranks, 1, 0, "stopped answering during the all-reduce of the group world at step 17");
}

// The ranks' store is gone with it.
TEST(Watch, WithoutRank0TheNextOneSpeaks) {
  expect_one_message(harmed_by(0, [] { raise(SIGKILL); }), 0, 1, "died during the all-reduce of the group world at step 17");
  expect_one_message(harmed_by(0, [] { raise(SIGSTOP); }), 0, 1, "stopped answering during the all-reduce of the group world at step 17");
}

TEST(Watch, AHungRankEndsWithTheOthers) {
  WatchTimes times = kTimes;
  times.patience = 1s;
  const auto ranks = harmed_by(1, [] { std::this_thread::sleep_for(50s); }, times);
  EXPECT_TRUE(ranks[1].with(2));
  expect_one_message(ranks, 1, 0, "does not go on after the barrier of the group world at step 17");
}

// Rank 1 has a thread in a barrier to which rank 0 does not come, and what its main thread does.
std::vector<Ended> with_a_thread_in_a_barrier(const std::function<void(Watch&)>& main_thread) {
  WatchTimes times = kTimes;
  times.patience = 1s;
  return ends_of_ranks(2, [&](const Rendezvous& here) {
    Member member(here, times);
    const auto other = member.group("other", 2);
    if (here.rank == 0) return member.world->barrier();
    member.watch->begin_thread();
    std::thread([&] { other->barrier(); }).detach();
    main_thread(*member.watch);
    std::this_thread::sleep_for(50s);
  });
}

TEST(Watch, ARankWithAThreadAtWorkDoesNotWait) {
  expect_one_message(with_a_thread_in_a_barrier([](Watch&) {}), 1, 0, "does not go on ");
}

TEST(Watch, ARankWaitsWhereAllOfItsThreadsDo) {
  expect_one_message(with_a_thread_in_a_barrier([](Watch& watch) { watch.end_thread(); }), 1, 0, "waits during the barrier of the group other at step 17");
}

TEST(Watch, RanksThatWaitForDifferentThingsEnd) {
  WatchTimes times = kTimes;
  times.patience = 1s;
  const auto ranks = ends_of_ranks(2, [&](const Rendezvous& here) {
    Member member(here, times);
    const auto other = member.group("other", 2);
    if (here.rank == 0) member.world->barrier();
    else other->barrier();
  });
  expect_one_message(ranks, 1, 0, "waits during the barrier of the group other at step 17");
}

TEST(Watch, ARankThatDiesBeforeAGroupIsMadeIsNamed) {
  const auto ranks = ends_of_ranks(2, [&](const Rendezvous& here) {
    Member member(here);
    if (here.rank == 1) raise(SIGKILL);
    member.group("other", 2);
  });
  EXPECT_TRUE(ranks[0].with(2));
  EXPECT_NE(ranks[0].messages.find("error: rank 1 (host "), std::string::npos) << ranks[0].messages;
  EXPECT_NE(ranks[0].messages.find("died during the connection of the group other"), std::string::npos) << ranks[0].messages;
}

TEST(Watch, ARankThatFailsByItselfSaysSoAlone) {
  const auto ranks = harmed_by(2, [] { throw Error("the disk is full", "make space"); });
  for (const Ended& rank : ranks) EXPECT_TRUE(rank.with(2));
  EXPECT_EQ(ranks[0].messages, "");
  EXPECT_EQ(ranks[1].messages, "");
  EXPECT_EQ(ranks[2].messages, "error: the disk is full\n  fix: make space\n");
}

TEST(Watch, Rank0MaySaveBeforeItEnds) {
  const std::string saved = testing::TempDir() + "saved_before_the_end";
  std::remove(saved.c_str());
  const auto ranks = ends_of_ranks(3, [&](const Rendezvous& here) {
    Member member(here);
    if (here.rank == 2) raise(SIGSTOP);
    try {
      member.world->sum(1);
    } catch (const Error& error) {
      std::this_thread::sleep_for(2 * kTimes.grace);
      std::ofstream(saved) << error.problem();
      throw;
    }
  });
  expect_one_message(ranks, 2, 0, "stopped answering");
  std::string line;
  std::getline(std::ifstream(saved), line);
  EXPECT_NE(line.find("rank 2 (host "), std::string::npos);
}

// A collective that Gloo does not end: the rank that is missed is on no host that could close its connections.
TEST(Watch, Rank0DoesNotWaitForAnExchangeThatNeverEnds) {
  const auto ranks = ends_of_ranks(2, [&](const Rendezvous& here) {
    Member member(here);
    if (here.rank == 1) _exit(0);
    member.watch->enter(Operation::kAllReduce, "other");
    std::this_thread::sleep_for(50s);
  });
  EXPECT_TRUE(ranks[0].with(2));
  EXPECT_NE(ranks[0].messages.find("died during the all-reduce of the group other"), std::string::npos) << ranks[0].messages;
}

TEST(Watch, RanksThatEndByThemselvesAtDifferentTimesAreLeftAlone) {
  run_ranks(3, [](const Rendezvous& here) {
    const Member member(here);
    std::this_thread::sleep_for((here.rank == 0 ? 2 : here.rank == 1 ? 0 : 3) * 1s);
  });
}

TEST(WatchPost, WhoIsNotInvitedIsNotListenedTo) {
  LeaderPost leader(2, kTimes);
  const std::int64_t port = parse_json(leader.invitation(), "the invitation").at("port");
  LineSocket stranger = LineSocket::to("127.0.0.1", port), liar = LineSocket::to("127.0.0.1", port);
  stranger.send("GET / HTTP/1.1");
  liar.send(R"({"token": 5, "rank": 1, "process": 1})");
  FollowerPost follower(rank_of(1, 2, 0), kTimes, leader.invitation());
  const auto now = Clock::now();
  EXPECT_FALSE(leader.listen({}, now));
  stranger.receive();
  liar.receive();
  EXPECT_TRUE(stranger.closed() && liar.closed());
  leader.tell({});
  EXPECT_FALSE(follower.listen({}, now + kTimes.silence - 1ms));
  EXPECT_TRUE(leader.listen({}, now + kTimes.silence)) << "the follower has been greeted, and says nothing";
  EXPECT_EQ(follower.listen({}, now + kTimes.silence)->rank, 1) << "and hears what the leader found";
}

}  // namespace
}  // namespace sluice::dist
