// The order of samples: shuffle, stream, held-out rows.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "sluice/data/held_out.h"
#include "sluice/data/shuffle.h"
#include "sluice/data/stream.h"

namespace sluice::data {
namespace {

std::vector<std::int64_t> order(std::int64_t count, std::uint64_t seed, std::uint64_t epoch) {
  std::vector<std::int64_t> out;
  for (std::int64_t i = 0; i < count; ++i) out.push_back(shuffled(i, count, seed, epoch));
  return out;
}

TEST(Shuffle, IsABijectionForEveryCount) {
  for (std::int64_t count = 1; count <= 200; ++count) {
    auto sorted = order(count, 7, 3);
    std::sort(sorted.begin(), sorted.end());
    for (std::int64_t i = 0; i < count; ++i) ASSERT_EQ(sorted[static_cast<std::size_t>(i)], i) << count;
  }
}

TEST(Shuffle, IsABijectionOfALargeCount) {
  constexpr std::int64_t kCount = 70'001;
  std::vector<bool> seen(kCount);
  for (const std::int64_t row : order(kCount, 1, 0)) {
    ASSERT_FALSE(seen[static_cast<std::size_t>(row)]);
    seen[static_cast<std::size_t>(row)] = true;
  }
}

TEST(Shuffle, StaysInsideACountOfTrillions) {
  constexpr std::int64_t kCount = 3'000'000'000'001;
  std::set<std::int64_t> rows;
  for (std::int64_t i = 0; i < 1000; ++i) {
    const std::int64_t row = shuffled(kCount - 1 - i, kCount, 5, 2);
    ASSERT_TRUE(row >= 0 && row < kCount);
    rows.insert(row);
  }
  EXPECT_EQ(rows.size(), 1000u);
}

TEST(Shuffle, DiffersByEpochAndSeedAndRepeatsForEqualOnes) {
  EXPECT_EQ(order(50, 1, 1), order(50, 1, 1));
  EXPECT_NE(order(50, 1, 1), order(50, 1, 2));
  EXPECT_NE(order(50, 1, 1), order(50, 2, 1));
}

// Over 2,000 epochs each of 10 rows comes first 200 times, give or take: chi-square with 9 degrees of freedom is under 27.9 in 999 of 1,000
// cases.
TEST(Shuffle, PutsEveryRowAtEveryPlaceEquallyOften) {
  for (const std::int64_t place : {0, 4, 9}) {
    std::vector<double> counts(10);
    for (std::uint64_t epoch = 0; epoch < 2000; ++epoch) ++counts[static_cast<std::size_t>(shuffled(place, 10, 11, epoch))];
    double chi_square = 0;
    for (const double count : counts) chi_square += (count - 200) * (count - 200) / 200;
    EXPECT_LT(chi_square, 27.9) << place;
  }
}

// In a random order a neighbour follows its neighbour about once.
TEST(Shuffle, TearsNeighboursApart) {
  const auto rows = order(10'000, 3, 0);
  int followers = 0;
  for (std::size_t i = 1; i < rows.size(); ++i) followers += rows[i] == rows[i - 1] + 1;
  EXPECT_LT(followers, 8);
}

TEST(HeldOut, EveryRowIsEitherTrainedOnOrHeldOutInTheGivenShare) {
  const RowChoice train{RowChoice::Part::kTrain, 0.1}, held_out{RowChoice::Part::kHeldOut, 0.1};
  int held = 0;
  for (std::int64_t row = 0; row < 20'000; ++row) {
    ASSERT_NE(train.takes(row), held_out.takes(row));
    held += held_out.takes(row);
  }
  EXPECT_NEAR(held, 2000, 4 * 43);  // four standard deviations of a binomial
  EXPECT_TRUE((RowChoice{RowChoice::Part::kAll, 0}.takes(5)));
}

// A data set of `rows` rows whose only token is the row's own number.
class Numbered : public Dataset {
 public:
  explicit Numbered(std::int64_t rows) { counts_.rows = rows; }
  const fs::path& path() const override { return path_; }
  Sample at(std::int64_t index) const override { return {{static_cast<std::int32_t>(index)}, {0}, {1}, 0, -1}; }
  RawRow raw(std::int64_t) const override { return {}; }

 private:
  fs::path path_;
};

std::vector<std::int32_t> take(SampleStream& stream, int count) {
  std::vector<std::int32_t> out;
  for (int i = 0; i < count; ++i) out.push_back(stream.next().ids[0]);
  return out;
}

TEST(Stream, UnshuffledRowsFollowTheFileEpochAfterEpoch) {
  const Numbered dataset(3);
  SampleStream stream(dataset, 1, Shuffle::kOff);
  EXPECT_EQ(take(stream, 8), (std::vector<std::int32_t>{0, 1, 2, 0, 1, 2, 0, 1}));
}

TEST(Stream, EachEpochHasEveryRowOnceInItsOwnOrder) {
  const Numbered dataset(20);
  SampleStream stream(dataset, 1, Shuffle::kOn);
  auto first = take(stream, 20), second = take(stream, 20);
  EXPECT_NE(first, second);
  std::sort(first.begin(), first.end());
  std::sort(second.begin(), second.end());
  EXPECT_EQ(first, second);
  EXPECT_EQ(std::set<std::int32_t>(first.begin(), first.end()).size(), 20u);
}

TEST(Stream, GoesOnAfterARestoredPositionAsIfNeverInterrupted) {
  const Numbered dataset(7);
  SampleStream whole(dataset, 9, Shuffle::kOn), resumed(dataset, 9, Shuffle::kOn);
  take(whole, 17);
  resumed.set_position(whole.position());
  EXPECT_EQ(take(resumed, 20), take(whole, 20));
}

TEST(Stream, RanksThatTakeTheirSlicesSeeTheOneProcessBatch) {
  const Numbered dataset(5);
  SampleStream one(dataset, 4, Shuffle::kOn);
  const SampleStream sliced(dataset, 4, Shuffle::kOn);
  for (std::int64_t step = 0; step < 3; ++step) {
    const auto batch = take(one, 8);
    for (std::int64_t rank = 0; rank < 4; ++rank) {
      for (std::int64_t i = 0; i < 2; ++i) {
        EXPECT_EQ(sliced.at(step * 8 + rank * 2 + i).ids[0], batch[static_cast<std::size_t>(rank * 2 + i)]);
      }
    }
  }
}

TEST(Stream, TheOrderDoesNotChangeBetweenVersions) {
  // Recorded when written: a resumed run must find the order it was started with.
  EXPECT_EQ(order(8, 1234, 0), (std::vector<std::int64_t>{3, 1, 5, 4, 0, 6, 2, 7}));
}

}  // namespace
}  // namespace sluice::data
