#include "sluice/eval/routing_figures.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

namespace sluice::eval {
namespace {

// A mixture layer of two experts, one a token: the probability of expert 0 and the expert that served, token by token.
nn::RouterRecord record(const std::vector<double>& p0, const std::vector<std::int64_t>& served) {
  std::vector<float> logits;
  for (const double p : p0) {
    logits.push_back(static_cast<float>(std::log(p)));
    logits.push_back(static_cast<float>(std::log(1 - p)));
  }
  const auto tokens = static_cast<std::int64_t>(p0.size());
  const at::Tensor experts = at::tensor(served, at::kLong).view({tokens, 1});
  return {at::tensor(logits).view({tokens, 2}), experts, experts};
}

data::Batch batch(std::int64_t rows, std::int64_t seq, std::vector<std::uint8_t> real, std::vector<std::int32_t> label,
                  std::vector<std::int32_t> prompt) {
  data::Batch out;
  out.rows = rows;
  out.seq = seq;
  out.real = std::move(real);
  out.expert_label = std::move(label);
  out.prompt_length = std::move(prompt);
  return out;
}

RoutingFile supervision(std::vector<std::int64_t> layers) {
  RoutingFile file;
  file.layers = std::move(layers);
  file.preferences = {{0.9, 0.1}, {0.1, 0.9}, {0.5, 0.5}, {0.3, 0.7}};
  return file;
}

constexpr models::MoeShape kOneLayer{1, 2, 1, 0};

// Row 0: label 0, a prompt of 5 tokens, an answer of 1. Row 1: label 1, a prompt of 4, an answer of 1, padding.
data::Batch two_questions() { return batch(2, 6, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0}, {0, 1}, {5, 4}); }
const std::vector<double> kP0 = {0.6, 0.8, 0.9, 0.9, 0.8, 1e-4, 0.45, 0.45, 0.45, 0.45, 0.2, 1e-6};
const std::vector<std::int64_t> kServed = {0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0};

TEST(RoutingFigures, AccuracyTakesTheNearestPreferenceToTheMeanRouterOfThePrompt) {
  const RoutingFile file = supervision({0});
  RoutingCollector collector(kOneLayer, 4, &file);
  const std::vector<std::int32_t> read = collector.add({record(kP0, kServed)}, two_questions());
  EXPECT_EQ(read, (std::vector<std::int32_t>{0, 2}));
  // Row 0: mean 0.8, nearest (0.9, 0.1), right; its answer token and the padding would pull it away. Row 1: mean 0.45, nearest (0.5, 0.5),
  // wrong.
  EXPECT_DOUBLE_EQ(*collector.figures().accuracy, 0.5);
}

TEST(RoutingFigures, MutualInformationCountsPromptTokensFromTheFourthOn) {
  const RoutingFile file = supervision({0});
  RoutingCollector collector(kOneLayer, 4, &file);
  collector.add({record(kP0, kServed)}, two_questions());
  // Row 0: tokens 3 and 4 went to experts 0 and 1; row 1: token 3 to expert 1. Table {{1, 1}, {0, 1}}.
  const double by_hand = (std::log(3.0 / 2) + std::log(3.0 / 4) + std::log(3.0 / 2)) / 3;
  EXPECT_NEAR(*collector.figures().mutual_information_nats, by_hand, 1e-12);
}

TEST(RoutingFigures, SharesCountEveryRealToken) {
  RoutingCollector collector(kOneLayer, 4, nullptr);
  collector.add({record(kP0, kServed)}, two_questions());
  const auto figures = collector.figures();
  EXPECT_NEAR(figures.expert_share[0][0], 5.0 / 11, 1e-12);
  EXPECT_NEAR(figures.expert_share[0][1], 6.0 / 11, 1e-12);
  EXPECT_NEAR(figures.label_expert[0][0], 4.0 / 6, 1e-12);
  EXPECT_NEAR(figures.label_expert[1][0], 1.0 / 5, 1e-12);
  EXPECT_EQ(figures.label_expert[2], (std::vector<double>{0, 0}));
  EXPECT_FALSE(figures.accuracy);
  EXPECT_FALSE(figures.kl);
  EXPECT_TRUE(figures.mutual_information_nats);
}

TEST(RoutingFigures, KlIsOverTheSupervisedTokens) {
  const auto kl = [](double q, double p) { return q * std::log(q / p) + (1 - q) * std::log((1 - q) / (1 - p)); };
  double prompt = 0;
  for (int t = 0; t < 5; ++t) prompt += kl(0.9, kP0[static_cast<std::size_t>(t)]);
  for (int t = 6; t < 10; ++t) prompt += kl(0.1, kP0[static_cast<std::size_t>(t)]);
  const double answer = kl(0.9, kP0[5]) + kl(0.1, kP0[10]);
  for (const auto& [tokens, expected] :
       {std::pair(loss::Tokens::kAll, (prompt + answer) / 11), {loss::Tokens::kPrompt, prompt / 9}, {loss::Tokens::kAnswer, answer / 2}}) {
    RoutingFile file = supervision({0});
    file.tokens = tokens;
    RoutingCollector collector(kOneLayer, 4, &file);
    collector.add({record(kP0, kServed)}, two_questions());
    EXPECT_NEAR(*collector.figures().kl, expected, 1e-6);
  }
}

TEST(RoutingFigures, OnlySupervisedLayersCountForLabels) {
  const RoutingFile file = supervision({1});
  RoutingCollector collector({2, 2, 1, 0}, 4, &file);
  // Layer 0 routes everything to expert 1; layer 1 by the label.
  collector.add({record(std::vector<double>(12, 0.01), std::vector<std::int64_t>(12, 1)),
                 record({.9, .9, .9, .9, .9, .9, .1, .1, .1, .1, .1, .1}, {0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1})},
                two_questions());
  const auto figures = collector.figures();
  EXPECT_DOUBLE_EQ(*figures.accuracy, 1.0);
  // Label 0 has two slots on expert 0, label 1 one slot on expert 1: the entropy of (2/3, 1/3).
  EXPECT_NEAR(*figures.mutual_information_nats, -(2.0 / 3 * std::log(2.0 / 3) + 1.0 / 3 * std::log(1.0 / 3)), 1e-12);
  EXPECT_EQ(figures.label_expert[0], (std::vector<double>{1, 0}));
  EXPECT_EQ(figures.expert_share[0], (std::vector<double>{0, 1}));
}

TEST(RoutingFigures, MutualInformationIsTheMeanOverLayersNotThatOfTheirSum) {
  const RoutingFile file = supervision({0, 1});
  RoutingCollector collector({2, 2, 1, 0}, 4, &file);
  const auto one = batch(2, 4, std::vector<std::uint8_t>(8, 1), {0, 1}, {4, 4});
  // The two layers know the label perfectly, by opposite experts: added up, their tables would be flat.
  collector.add(
      {record(std::vector<double>(8, 0.5), {0, 0, 0, 0, 1, 1, 1, 1}), record(std::vector<double>(8, 0.5), {1, 1, 1, 1, 0, 0, 0, 0})}, one);
  EXPECT_NEAR(*collector.figures().mutual_information_nats, std::log(2.0), 1e-12);
}

TEST(RoutingFigures, DroppedAssignmentsCountNowhere) {
  RoutingCollector collector({1, 2, 2, 0}, 4, nullptr);
  nn::RouterRecord dropped;
  dropped.logits = at::zeros({4, 2});
  dropped.chosen = at::tensor({0, 1, 0, 1, 0, 1, 0, 1}, at::kLong).view({4, 2});
  dropped.served = at::tensor({0, 1, 0, -1, 0, -1, -1, 1}, at::kLong).view({4, 2});
  collector.add({dropped}, batch(1, 4, {1, 1, 1, 1}, {2}, {4}));
  const auto figures = collector.figures();
  EXPECT_NEAR(figures.expert_share[0][0], 3.0 / 5, 1e-12);
  EXPECT_NEAR(figures.label_expert[2][1], 2.0 / 5, 1e-12);
}

TEST(RoutingFigures, PaddingInFrontDoesNotShiftTheFourthToken) {
  const RoutingFile file = supervision({0});
  RoutingCollector left(kOneLayer, 4, &file), right(kOneLayer, 4, &file);
  left.add({record({.5, .5, .9, .9, .9, .9, .9, .1, .1, .1, .1, .1, .1, .1}, {1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1})},
           batch(2, 7, {0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, {0, 1}, {7, 7}));
  right.add({record({.9, .9, .9, .9, .9, .5, .5, .1, .1, .1, .1, .1, .1, .1}, {1, 1, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 1, 1})},
            batch(2, 7, {1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1, 1}, {0, 1}, {7, 7}));
  EXPECT_NEAR(*left.figures().mutual_information_nats, *right.figures().mutual_information_nats, 1e-12);
  EXPECT_NEAR(*left.figures().mutual_information_nats, -(1.0 / 3 * std::log(1.0 / 3) + 2.0 / 3 * std::log(2.0 / 3)), 1e-12);
}

TEST(RoutingFigures, ARowWithoutAPromptIsAQuestionAsAWhole) {
  const RoutingFile file = supervision({0});
  RoutingCollector collector(kOneLayer, 4, &file);
  collector.add({record({.9, .9, .9, .9}, {0, 0, 0, 0})}, batch(1, 4, {1, 1, 1, 1}, {0}, {0}));
  EXPECT_DOUBLE_EQ(*collector.figures().accuracy, 1.0);
  EXPECT_TRUE(collector.figures().mutual_information_nats);
}

TEST(RoutingFigures, RowsWithoutLabelsGiveSharesAlone) {
  const RoutingFile file = supervision({0});
  RoutingCollector collector(kOneLayer, 4, &file);
  collector.add({record({.9, .9, .9, .9}, {0, 0, 0, 1})}, batch(1, 4, {1, 1, 1, 1}, {-1}, {4}));
  const auto figures = collector.figures();
  EXPECT_EQ(figures.expert_share[0], (std::vector<double>{0.75, 0.25}));
  EXPECT_FALSE(figures.accuracy);
  EXPECT_FALSE(figures.kl);
  EXPECT_FALSE(figures.mutual_information_nats);
  EXPECT_TRUE(figures.label_expert.empty());
}

TEST(MutualInformation, IsWhatItsDefinitionGives) {
  EXPECT_DOUBLE_EQ(mutual_information_nats({}), 0);
  EXPECT_DOUBLE_EQ(mutual_information_nats({{0, 0}, {0, 0}}), 0);
  EXPECT_NEAR(mutual_information_nats({{2, 4}, {1, 2}}), 0, 1e-15);                               // independent
  EXPECT_NEAR(mutual_information_nats({{5, 0, 0}, {0, 5, 0}, {0, 0, 5}}), std::log(3.0), 1e-12);  // one and the same
  // H(label) + H(expert) - H(both), on a table of chance.
  std::mt19937 random(1);
  std::vector<std::vector<double>> counts(4, std::vector<double>(8));
  std::map<int, double> labels, experts;
  double all = 0, both = 0, marginal = 0;
  for (int l = 0; l < 4; ++l) {
    for (int e = 0; e < 8; ++e) {
      const double n = counts[static_cast<std::size_t>(l)][static_cast<std::size_t>(e)] = 1 + static_cast<double>(random() % 50);
      labels[l] += n;
      experts[e] += n;
      all += n;
    }
  }
  const auto surprise = [&](double n) { return -n / all * std::log(n / all); };
  for (const auto& row : counts) {
    for (const double n : row) both += surprise(n);
  }
  for (const auto* margin : {&labels, &experts}) {
    for (const auto& [index, n] : *margin) marginal += surprise(n);
  }
  EXPECT_NEAR(mutual_information_nats(counts), marginal - both, 1e-12);
}

}  // namespace
}  // namespace sluice::eval
