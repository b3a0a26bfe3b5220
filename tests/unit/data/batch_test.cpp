#include "sluice/data/batch.h"

#include <gtest/gtest.h>

namespace sluice::data {
namespace {

TEST(Batch, PadsOnTheRightToTheLongestRowAndNeverTrainsOnPadding) {
  const Sample samples[] = {{{5, 6, 7}, {-100, 6, 7}, {1, 1, 1}, 1, 2}, {{8}, {8}, {1}, 0, -1}};
  const Batch batch = make_batch(samples, 99);
  EXPECT_EQ(batch.rows, 2);
  EXPECT_EQ(batch.seq, 3);
  EXPECT_EQ(batch.ids, (std::vector<std::int64_t>{5, 6, 7, 8, 99, 99}));
  EXPECT_EQ(batch.labels, (std::vector<std::int64_t>{-100, 6, 7, 8, -100, -100}));
  EXPECT_EQ(batch.real, (std::vector<std::uint8_t>{1, 1, 1, 1, 0, 0}));
  EXPECT_EQ(batch.expert_label, (std::vector<std::int32_t>{2, -1}));
  EXPECT_EQ(batch.prompt_length, (std::vector<std::int32_t>{1, 0}));
  EXPECT_EQ(batch.real_tokens, 4);
}

TEST(Batch, CountsTheLabelsThatRemainAfterTheShift) {
  // The first label of a row has nothing before it to be predicted from.
  const Sample samples[] = {{{5, 6, 7}, {5, 6, -100}, {1, 1, 1}, 0, -1}, {{8, 9}, {8, 9}, {1, 0}, 0, -1}};
  const Batch batch = make_batch(samples, 0);
  EXPECT_EQ(batch.target_tokens, 2);
  EXPECT_EQ(batch.real_tokens, 4);
}

TEST(Batch, CutIntoPartsItHasTheSameTotals) {
  std::vector<Sample> samples;
  for (std::int32_t length = 1; length <= 6; ++length) {
    const auto n = static_cast<std::size_t>(length);
    samples.push_back({std::vector<std::int32_t>(n, length), std::vector<std::int32_t>(n, length), std::vector<std::uint8_t>(n, 1), 0, -1});
  }
  const Batch whole = make_batch(samples, 0), first = make_batch(std::span(samples).first(2), 0),
              rest = make_batch(std::span(samples).subspan(2), 0);
  EXPECT_EQ(whole.target_tokens, 0 + 1 + 2 + 3 + 4 + 5);
  EXPECT_EQ(first.target_tokens + rest.target_tokens, whole.target_tokens);
  EXPECT_EQ(first.real_tokens + rest.real_tokens, whole.real_tokens);
}

}  // namespace
}  // namespace sluice::data
