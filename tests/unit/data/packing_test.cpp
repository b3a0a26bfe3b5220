// Which documents share a row, which set gives the next sample, and which samples stand together: by hand, and by what must hold of them
// all.
#include "sluice/data/instruct/packing.h"

#include <gtest/gtest.h>

#include <numeric>
#include <set>

#include "sluice/base/rng.h"
#include "sluice/data/instruct/blend.h"
#include "sluice/data/stream.h"

namespace sluice::data {
namespace {

using Rows = std::vector<std::vector<std::int64_t>>;

TEST(PackBestFit, PutsEachDocumentWhereTheLeastRoomIsLeft) {
  const std::vector<std::int64_t> lengths{3, 7, 5, 4, 6, 1};
  // 7 6 5 4 3 1 into rows of 10: 7 | 6 | 5 ; 4 fits 6 (room 4) better than 5 (room 5); 3 fits 7; 1 fits 5 alone.
  EXPECT_EQ(pack_best_fit(lengths, 10), (Rows{{1, 0}, {4, 3}, {2, 5}}));
}

TEST(PackBestFit, TakesEqualOnesInOrder) {
  const std::vector<std::int64_t> lengths{4, 4, 4, 4};
  EXPECT_EQ(pack_best_fit(lengths, 8), (Rows{{0, 1}, {2, 3}}));
  EXPECT_EQ(pack_best_fit({}, 8), Rows{});
}

TEST(PackBestFit, HoldsEveryDocumentOnceAndFillsRowsWell) {
  Rng rng(5, 0);
  std::vector<std::int64_t> lengths(20'000);
  for (auto& length : lengths) length = 1 + static_cast<std::int64_t>(rng.below(1024));
  const Rows rows = pack_best_fit(lengths, 1024);
  std::set<std::int64_t> seen;
  for (const auto& row : rows) {
    std::int64_t sum = 0;
    for (const std::int64_t document : row) {
      EXPECT_TRUE(seen.insert(document).second);
      sum += lengths[static_cast<std::size_t>(document)];
    }
    EXPECT_LE(sum, 1024);
  }
  EXPECT_EQ(seen.size(), lengths.size());
  const auto tokens = static_cast<double>(std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0}));
  EXPECT_GT(tokens / (1024.0 * static_cast<double>(rows.size())), 0.99);
}

TEST(Blend, ReadsPairsOfAWeightAndAFile) {
  Violations none;
  const auto files = parse_blend({"0.7", "a.jsonl", "0.3", "b.parquet"}, none);
  EXPECT_TRUE(none.empty());
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files[0].weight, 0.7);
  EXPECT_EQ(files[1].path, "b.parquet");
  for (const std::vector<std::string>& wrong :
       {std::vector<std::string>{"0.7", "a", "0.3"}, {"a", "0.7"}, {"0", "a"}, {"-1", "a"}, {"nan", "a"}, {"", "a"}}) {
    Violations violations;
    parse_blend(wrong, violations);
    EXPECT_FALSE(violations.empty());
  }
}

TEST(Interleaving, GivesEachSetItsShareOfAnyBeginningAndItsSamplesInOrder) {
  const std::vector<double> weights{0.5, 3, 1.25, 0.25};
  const Interleaving interleaving(weights);
  std::vector<std::int64_t> given(weights.size(), 0);
  for (std::int64_t n = 1; n <= 20'000; ++n) {
    const auto pick = interleaving.at(n - 1);
    ASSERT_EQ(pick.number, given[pick.set]++) << n;
    for (std::size_t set = 0; set < weights.size(); ++set)
      ASSERT_NEAR(static_cast<double>(given[set]), static_cast<double>(n) * weights[set] / 5, 4.0);
  }
}

TEST(Interleaving, IsExactFarOut) {
  const Interleaving interleaving({0.1, 0.2, 0.7});
  const std::int64_t far = 1'000'000'000'000;
  std::vector<std::int64_t> next(3, -1);
  for (std::int64_t p = far; p < far + 1000; ++p) {
    const auto [set, number] = interleaving.at(p);
    if (next[set] >= 0) {
      EXPECT_EQ(number, next[set]);
    }
    next[set] = number + 1;
  }
  EXPECT_EQ(next[0] + next[1] + next[2], far + 1000);
}

TEST(Interleaving, OfOneSetIsItsOwnOrder) {
  const Interleaving one({2});
  for (const std::int64_t p : {0, 1, 77}) EXPECT_EQ(one.at(p).number, p);
}

// Rows of these lengths; a row's first id is its number.
class LengthsDataset : public Dataset {
 public:
  explicit LengthsDataset(std::vector<std::int64_t> lengths) : lengths_(std::move(lengths)) {
    counts_.rows = static_cast<std::int64_t>(lengths_.size());
  }
  const fs::path& path() const override { return path_; }
  Sample at(std::int64_t) const override { return {}; }
  RawRow raw(std::int64_t) const override { return {}; }
  std::int64_t length(std::int64_t index) const override { return lengths_[static_cast<std::size_t>(index)]; }

 private:
  fs::path path_;
  std::vector<std::int64_t> lengths_;
};

std::vector<std::int64_t> random_lengths(std::int64_t count) {
  Rng rng(3, 1);
  std::vector<std::int64_t> lengths(static_cast<std::size_t>(count));
  for (auto& length : lengths) length = 1 + static_cast<std::int64_t>(rng.below(500));
  return lengths;
}

TEST(LengthBuckets, HaveEveryRowOnceAnEpochInAnotherOrder) {
  for (const std::int64_t rows : {1, 5, 203, 1001}) {
    const LengthsDataset dataset(random_lengths(rows));
    const SampleStream stream(dataset, 7, Shuffle::kOn, 4);
    std::vector<std::vector<std::int64_t>> epochs;
    for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
      std::vector<std::int64_t>& order = epochs.emplace_back();
      for (std::int64_t p = 0; p < rows; ++p) order.push_back(stream.row(epoch * rows + p));
      EXPECT_EQ(std::set(order.begin(), order.end()).size(), static_cast<std::size_t>(rows));
    }
    if (rows > 100) {
      EXPECT_NE(epochs[0], epochs[1]);
    }
  }
}

TEST(LengthBuckets, PadAFractionOfWhatARandomOrderPads) {
  const std::int64_t rows = 1001, batch = 8;
  const LengthsDataset dataset(random_lengths(rows));
  const auto padding = [&](const SampleStream& stream) {
    std::int64_t filling = 0;
    for (std::int64_t first = 0; first + batch <= 5 * rows; first += batch) {
      std::int64_t longest = 0, sum = 0;
      for (std::int64_t p = first; p < first + batch; ++p) {
        longest = std::max(longest, dataset.length(stream.row(p)));
        sum += dataset.length(stream.row(p));
      }
      filling += longest * batch - sum;
    }
    return filling;
  };
  EXPECT_LT(padding(SampleStream(dataset, 7, Shuffle::kOn, batch)) * 10, padding(SampleStream(dataset, 7, Shuffle::kOn)));
}

TEST(LengthBuckets, AreNotInOrderOfLength) {
  const LengthsDataset dataset(random_lengths(1000));
  const SampleStream stream(dataset, 7, Shuffle::kOn, 4);
  std::int64_t rises = 0;
  for (std::int64_t p = 4; p < 200; p += 4) rises += dataset.length(stream.row(p)) > dataset.length(stream.row(p - 4));
  EXPECT_GT(rises, 10);
  EXPECT_LT(rises, 40);
}

}  // namespace
}  // namespace sluice::data
