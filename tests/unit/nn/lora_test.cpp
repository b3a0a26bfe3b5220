#include "sluice/nn/lora.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace sluice::nn {
namespace {

constexpr std::int64_t kExperts = 4, kTokens = 12, kIn = 22, kRank = 3, kOut = 5;

// A weight of `experts` with an adapter of which columns first .. first + in of `whole_in` are held, and experts from `first_expert` on.
struct Adapted {
  Adapted(std::int64_t first_expert, std::int64_t experts, std::int64_t first, std::int64_t in)
      : a{{"a", {experts, kRank, in}}, {}, {}, {}}, b{{"b", {experts, kOut, kRank}}, {}, {}, {}}, weight{{"w", {experts, kOut, in}}, {}, {}, {}} {
    a.spec.part = {{kExperts, kRank, kIn}, {{{first_expert, 0, first}, {0, 0, 0}, a.spec.shape}}};
    const at::Tensor all = at::arange(kExperts * kRank * kIn).view({kExperts, kRank, kIn}) / 100.0;
    a.value = all.narrow(0, first_expert, experts).narrow(2, first, in).contiguous();
    b.value = at::ones({experts, kOut, kRank});
    weight.adapters.push_back({&a, &b, 2, &dropout});
  }
  Dropout dropout{.rate = 0.4, .seed = 7, .step = 3, .active = true};
  Parameter a, b, weight;
};

at::Tensor numbers() { return at::arange(kTokens) + (std::int64_t{5} << 32); }
at::Tensor input() { return at::arange(kTokens * kIn).view({kTokens, kIn}) / 50.0; }

TEST(LoraDropout, PartsOfColumnsExpertsAndTokensLeaveOutWhatTheWholeDoes) {
  const Adapted whole(0, kExperts, 0, kIn), left(2, 2, 0, 9), right(2, 2, 9, kIn - 9);
  const at::Tensor order = at::randperm(kTokens).narrow(0, 0, 7), x = input().index_select(0, order), tokens = numbers().index_select(0, order);
  const at::Tensor expected = low_rank_product(input(), whole.weight, 3, numbers()).index_select(0, order);
  const at::Tensor found = low_rank_product(x.narrow(1, 0, 9), left.weight, 1, tokens) + low_rank_product(x.narrow(1, 9, kIn - 9), right.weight, 1, tokens);
  EXPECT_TRUE(at::allclose(found, expected, 1e-5, 1e-5));
}

TEST(LoraDropout, AnotherStepSeedTokenOrExpertLeavesOutOthers) {
  const auto product = [](const Adapted& adapted, std::int64_t expert, const at::Tensor& tokens) { return low_rank_product(at::ones({kTokens, kIn}), adapted.weight, expert, tokens); };
  Adapted one(0, kExperts, 0, kIn), other(0, kExperts, 0, kIn);
  other.a.value = at::ones_like(other.a.value);
  one.a.value = at::ones_like(one.a.value);
  const at::Tensor expected = product(one, 1, numbers());
  EXPECT_TRUE(at::equal(product(other, 1, numbers()), expected));
  EXPECT_FALSE(at::equal(product(other, 2, numbers()), expected));
  EXPECT_FALSE(at::equal(product(other, 1, numbers() + (std::int64_t{1} << 32)), expected));
  other.dropout.step = 4;
  EXPECT_FALSE(at::equal(product(other, 1, numbers()), expected));
  other.dropout.step = 3, other.dropout.seed = 8;
  EXPECT_FALSE(at::equal(product(other, 1, numbers()), expected));
}

TEST(LoraDropout, LeavesOutItsShareAndKeepsTheMean) {
  Adapted adapted(0, kExperts, 0, kIn);
  adapted.a.value = at::ones_like(adapted.a.value);
  const std::int64_t many = 20000;
  const at::Tensor y = low_rank_product(at::ones({many, kIn}), adapted.weight, 0, at::arange(many));
  const double scale = 2.0 * kRank, mean = y.mean().item<double>() / scale / static_cast<double>(kIn);
  EXPECT_NEAR(mean, 1, 5e-3);  // 440,000 draws: a standard deviation of 1.2e-3
}

TEST(LoraDropout, TokensAreTheSetOfThatSizeOrElsePositions) {
  Adapted adapted(0, kExperts, 0, kIn);
  adapted.dropout.tokens = {numbers(), numbers().narrow(0, 6, 6)};
  EXPECT_TRUE(at::equal(dropout_tokens(adapted.weight, kTokens), numbers()));
  EXPECT_TRUE(at::equal(dropout_tokens(adapted.weight, 6), numbers().narrow(0, 6, 6)));
  EXPECT_TRUE(at::equal(dropout_tokens(adapted.weight, 4), at::arange(4)));
  adapted.dropout.active = false;
  EXPECT_FALSE(dropout_tokens(adapted.weight, kTokens).defined());
}

}  // namespace
}  // namespace sluice::nn
