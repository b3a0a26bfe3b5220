#include "sluice/dist/judge.h"

#include <gtest/gtest.h>

namespace sluice::dist {
namespace {

using namespace std::chrono_literals;
using Where = Beat::Where;

const Clock::time_point kStart{};

Beat in_all_reduce(Where where, double seconds) { return {17, "all-reduce", "world", where, seconds, where == Where::kLost ? "Connection closed by peer" : ""}; }

// Three ranks, of which the last is on another host, all heard of at kStart and computing.
Judge three_ranks() {
  Judge judge(3, {});
  for (std::int64_t rank = 0; rank < 3; ++rank) {
    judge.greet(rank, {rank == 2 ? "b" : "a", 100 + rank, ""}, kStart);
    judge.hear(rank, in_all_reduce(Where::kOutside, 0), kStart);
  }
  return judge;
}

TEST(Judge, FindsNothingWhileAllAreHeardOf) { EXPECT_FALSE(three_ranks().of_all(kStart + 19s)); }

TEST(Judge, NamesARankThatIsNotHeardOf) {
  Judge judge = three_ranks();
  for (const std::int64_t rank : {0, 1}) judge.hear(rank, in_all_reduce(Where::kInside, 20), kStart + 20s);
  const auto verdict = judge.of_all(kStart + 20s);
  ASSERT_TRUE(verdict);
  EXPECT_EQ(verdict->rank, 2);
  EXPECT_EQ(verdict->teller, 0);
  EXPECT_EQ(verdict->problem, "rank 2 (host b, process 102) stopped answering during the all-reduce of the group world at step 17");
}

TEST(Judge, NamesARankWhoseConnectionCloses) {
  Judge judge = three_ranks();
  judge.miss(1, kStart + 5s);
  EXPECT_FALSE(judge.of_all(kStart + 5500ms)) << "the others have not told yet where they miss it";
  EXPECT_EQ(judge.of_all(kStart + 6s)->problem, "rank 1 (host a, process 101) died after the all-reduce of the group world at step 17");
  judge.hear(2, in_all_reduce(Where::kLost, 0), kStart + 6s);
  EXPECT_EQ(judge.of_all(kStart + 6s)->problem, "rank 1 (host a, process 101) died during the all-reduce of the group world at step 17");
}

TEST(Judge, ARankThatIsEndedAfterALongSilenceHadStopped) {
  Judge judge = three_ranks();
  judge.miss(1, kStart + 19s);
  EXPECT_NE(judge.of_rank(1, kStart + 20s)->problem.find("stopped answering"), std::string::npos);
}

TEST(Judge, KeepsQuietOfARankThatTookLeave) {
  Judge judge = three_ranks();
  judge.bid_farewell(1);
  judge.miss(1, kStart + 1s);
  for (const std::int64_t rank : {0, 2}) judge.hear(rank, in_all_reduce(Where::kInside, 60), kStart + 60s);
  EXPECT_FALSE(judge.of_all(kStart + 60s));
  judge.hear(2, in_all_reduce(Where::kLost, 0), kStart + 61s);
  const auto verdict = judge.of_all(kStart + 61s);
  ASSERT_TRUE(verdict) << "rank 2 needs it";
  EXPECT_EQ(verdict->rank, 1);
  EXPECT_FALSE(verdict->teller) << "rank 1 has said itself why";
}

TEST(Judge, BlamesNobodyForTheTimeInWhichItWasStoppedItself) {
  Judge judge = three_ranks();
  judge.forgive(kStart + 300s);
  EXPECT_FALSE(judge.of_all(kStart + 300s));
  EXPECT_TRUE(judge.of_all(kStart + 320s));
}

TEST(Judge, NamesARankThatStaysAwayLongerThanThePatience) {
  Judge judge = three_ranks();
  const auto hear = [&](double seconds) {
    for (const std::int64_t rank : {0, 2}) judge.hear(rank, in_all_reduce(Where::kInside, seconds), kStart);
    judge.hear(1, {17, "send", "pipeline", Where::kOutside, seconds + 1, ""}, kStart);
  };
  hear(1799);
  EXPECT_FALSE(judge.of_all(kStart));
  hear(1800);
  EXPECT_EQ(judge.of_all(kStart)->problem,
            "rank 1 (host a, process 101) does not go on after the send of the group pipeline at step 17 for 1801 s; rank 0 has waited for 1800 s in the all-reduce of the group world");
  judge.set_patience(2h);
  EXPECT_FALSE(judge.of_all(kStart));
}

TEST(Judge, NamesTheRankThatWaitsElsewhere) {
  Judge judge = three_ranks();
  for (const std::int64_t rank : {0, 1}) judge.hear(rank, in_all_reduce(Where::kInside, 1800), kStart);
  judge.hear(2, {16, "all-gather", "experts", Where::kInside, 1900, ""}, kStart);
  EXPECT_EQ(judge.of_all(kStart)->problem,
            "rank 2 (host b, process 102) waits during the all-gather of the group experts at step 16 for 1900 s, rank 0 during the all-reduce of the group world at step 17: "
            "ranks that do not take the same steps");
}

TEST(Judge, SaysWhatAnExchangeFailedWithWhenNobodyIsTheCause) {
  Judge judge = three_ranks();
  judge.hear(1, in_all_reduce(Where::kLost, 20), kStart);
  EXPECT_FALSE(judge.of_all(kStart));
  judge.hear(1, in_all_reduce(Where::kLost, 21), kStart);
  EXPECT_EQ(judge.of_all(kStart)->problem, "rank 1 (host a, process 101) failed during the all-reduce of the group world at step 17: Connection closed by peer");
}

// The host of rank 0 may be gone as a whole.
TEST(Judge, LetsARankOfAnotherHostSpeakForRank0) {
  Judge judge = three_ranks();
  EXPECT_EQ(judge.deputy(), 2);
  judge.miss(2, kStart);
  EXPECT_EQ(judge.deputy(), 1);
}

TEST(Judge, VerdictsAndBeatsGoThroughJson) {
  const Beat beat = in_all_reduce(Where::kLost, 2.5);
  EXPECT_EQ(to_json(beat_from_json(to_json(beat))), to_json(beat));
  Judge judge = three_ranks();
  const Verdict verdict = *judge.of_rank(0, kStart + 20s);
  EXPECT_EQ(verdict.teller, 2);
  EXPECT_EQ(to_json(verdict_from_json(to_json(verdict))), to_json(verdict));
}

}  // namespace
}  // namespace sluice::dist
