#include "sluice/generate/sampling.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <vector>

namespace sluice::generate {
namespace {

// How often each token comes in `draws` draws.
std::map<std::int32_t, double> frequencies(const std::vector<float>& logits, const Sampling& sampling, int draws) {
  Rng rng(3, 0);
  std::map<std::int32_t, double> out;
  for (int i = 0; i < draws; ++i) out[choose(logits, sampling, rng)] += 1.0 / draws;
  return out;
}

const std::vector<float> kLogits = {std::log(0.1f), std::log(0.4f), std::log(0.2f), std::log(0.3f)};  // probabilities of tokens 0 to 3
constexpr int kDraws = 20000;
constexpr double kNoise = 0.015;  // over four standard deviations of a share of 20,000 draws

TEST(Sampling, GreedyTakesTheLikeliestAndOfEqualsTheFirst) {
  Rng rng(1, 0);
  EXPECT_EQ(choose(std::vector<float>{0, 3, 3, 1}, {}, rng), 1);
  EXPECT_EQ(rng.position(), 0u);
}

TEST(Sampling, FollowsTheProbabilitiesAtTemperatureOne) {
  auto share = frequencies(kLogits, {.temperature = 1}, kDraws);
  for (std::int32_t id = 0; id < 4; ++id) EXPECT_NEAR(share[id], std::exp(kLogits[static_cast<std::size_t>(id)]), kNoise) << id;
}

TEST(Sampling, TemperatureTwoTakesTheRootOfTheProbabilities) {
  auto share = frequencies(kLogits, {.temperature = 2}, kDraws);
  const double sum = std::sqrt(0.1) + std::sqrt(0.4) + std::sqrt(0.2) + std::sqrt(0.3);
  EXPECT_NEAR(share[1], std::sqrt(0.4) / sum, kNoise);
  EXPECT_NEAR(share[0], std::sqrt(0.1) / sum, kNoise);
}

TEST(Sampling, TopKKeepsTheKLikeliestAndTheirProportions) {
  auto share = frequencies(kLogits, {.temperature = 1, .top_k = 2}, kDraws);
  EXPECT_EQ(share.size(), 2u);
  EXPECT_NEAR(share[1], 0.4 / 0.7, kNoise);
  EXPECT_NEAR(share[3], 0.3 / 0.7, kNoise);
}

TEST(Sampling, TopPKeepsTheFewestTokensThatReachIt) {
  // 0.4 + 0.3 = 0.7 < 0.75 <= 0.9: tokens 1, 3 and 2.
  auto share = frequencies(kLogits, {.temperature = 1, .top_p = 0.75}, kDraws);
  EXPECT_EQ(share.size(), 3u);
  EXPECT_NEAR(share[2], 0.2 / 0.9, kNoise);
  EXPECT_EQ(frequencies(kLogits, {.temperature = 1, .top_p = 0.01}, 200).size(), 1u);
}

TEST(Sampling, TopPCountsTheProbabilityOfWhatTopKLeft) {
  // Of tokens 1 and 3 the first has 0.4 / 0.7 = 0.57: enough for 0.55, although it is only 0.4 of all.
  auto share = frequencies(kLogits, {.temperature = 1, .top_k = 2, .top_p = 0.55}, 500);
  EXPECT_EQ(share.size(), 1u);
  EXPECT_EQ(share.count(1), 1u);
}

TEST(Sampling, TopKKeepsWhatEqualsTheKth) {
  auto share = frequencies({0, 1, 1, 1, 2}, {.temperature = 1, .top_k = 2}, 2000);
  EXPECT_EQ(share.size(), 4u);
  EXPECT_EQ(share.count(0), 0u);
}

TEST(Sampling, TheRepetitionPenaltyDividesPositiveLogitsAndMultipliesNegativeOnesOnce) {
  std::vector<float> logits = {2, -2, 3, 0};
  penalize_repetition(logits, std::vector<std::int32_t>{0, 1, 0, 3}, 2);
  EXPECT_EQ(logits, (std::vector<float>{1, -4, 3, 0}));
  penalize_repetition(logits, std::vector<std::int32_t>{2}, 1);
  EXPECT_EQ(logits[2], 3);
}

TEST(Sampling, ATinyTemperatureIsGreedy) { EXPECT_EQ(frequencies(kLogits, {.temperature = 1e-300}, 200).count(1), 1u); }

TEST(Sampling, RefusesLogitsThatAreNotNumbers) {
  Rng rng(1, 0);
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  EXPECT_THROW(choose(std::vector<float>{0, nan}, {}, rng), Error);
  EXPECT_THROW(choose(std::vector<float>{0, inf}, {.temperature = 1}, rng), Error);
  EXPECT_THROW(choose(std::vector<float>{-inf, -inf}, {}, rng), Error);
  EXPECT_EQ(choose(std::vector<float>{-inf, 0}, {.temperature = 1}, rng), 1);
}

TEST(Sampling, NamesEverySettingThatCannotBe) {
  for (const Sampling& wrong : {Sampling{.temperature = -1}, Sampling{.top_k = -1}, Sampling{.top_p = 0}, Sampling{.top_p = 1.1},
                                Sampling{.repetition_penalty = 0}}) {
    Violations violations;
    wrong.check(violations);
    EXPECT_FALSE(violations.empty());
  }
  Violations none;
  Sampling{.temperature = 0.7, .top_k = 40, .top_p = 0.9}.check(none);
  EXPECT_TRUE(none.empty());
}

}  // namespace
}  // namespace sluice::generate
