#include <gtest/gtest.h>

#include <cmath>

#include "sluice/optim/adamw.h"

namespace sluice::optim {
namespace {

TEST(Schedule, WarmsUpToThePeakAndFallsToTheFloor) {
  const ScheduleShape cosine{Schedule::kCosine, 1.0, 0.1, 10, 110};
  EXPECT_DOUBLE_EQ(learning_rate(cosine, 1), 0.1);
  EXPECT_DOUBLE_EQ(learning_rate(cosine, 10), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate(cosine, 11), 1.0);
  EXPECT_NEAR(learning_rate(cosine, 61), 0.55, 1e-12);
  EXPECT_NEAR(learning_rate(cosine, 111), 0.1, 1e-12);
  const ScheduleShape linear{Schedule::kLinear, 1.0, 0.0, 0, 100};
  EXPECT_NEAR(learning_rate(linear, 51), 0.5, 1e-12);
  const ScheduleShape wsd{Schedule::kWsd, 1.0, 0.0, 0, 100, 0.2};
  EXPECT_DOUBLE_EQ(learning_rate(wsd, 80), 1.0);
  EXPECT_NEAR(learning_rate(wsd, 91), 0.5, 1e-12);
  EXPECT_EQ(decay_steps(wsd), 20);
  EXPECT_EQ(decay_steps({Schedule::kWsd, 1.0, 0.0, 0, 3, 0.1}), 1);
  EXPECT_DOUBLE_EQ(learning_rate({Schedule::kConstant, 0.3, 0.0, 0, 5}, 5), 0.3);
}

// torch.optim.AdamW's formula in float64, with norms left out of the decay, and clipping first.
TEST(AdamW, EqualsTheFormulaOverSeveralClippedSteps) {
  nn::ParameterStore store({{"w", {5, 7}}, {"norm", {7}, nn::Init::kOnes, nn::Keep::kFloat32, nn::Decay::kNo}});
  store.allocate_for_training(nn::Precision::kBfloat16, [](const std::string&) { return false; });
  store.initialise(1, 0.5);
  OptimizerConfig config;
  config.weight_decay = 0.1;
  config.clip_grad = 0.5;
  AdamW optimizer(config, store);
  struct Reference {
    at::Tensor p, m, v;
    double decay;
  };
  std::vector<Reference> references;
  for (nn::Parameter& p : store.all()) {
    const at::Tensor start = p.master.to(at::kDouble);
    references.push_back({start, at::zeros_like(start), at::zeros_like(start), p.spec.name == "w" ? 0.1 : 0.0});
  }
  at::manual_seed(3);
  for (int step = 1; step <= 4; ++step) {
    double squares = 0;
    for (nn::Parameter& p : store.all()) {
      p.grad.copy_(at::randn(p.grad.sizes()));
      squares += p.grad.to(at::kDouble).square().sum().item<double>();
    }
    const double norm = optimizer.grad_norm(), scale = std::min(1.0, 0.5 / (norm + 1e-6));
    EXPECT_NEAR(norm, std::sqrt(squares), 1e-9);
    optimizer.step(1e-2, norm);
    for (std::size_t i = 0; i < references.size(); ++i) {
      Reference& r = references[i];
      const at::Tensor g = store.all()[i].grad.to(at::kDouble) * scale;
      r.p = r.p * (1 - 1e-2 * r.decay);
      r.m = 0.9 * r.m + 0.1 * g;
      r.v = 0.999 * r.v + 0.001 * g * g;
      r.p = r.p - 1e-2 / (1 - std::pow(0.9, step)) * r.m / (r.v.sqrt() / std::sqrt(1 - std::pow(0.999, step)) + 1e-8);
      EXPECT_LT((store.all()[i].master.to(at::kDouble) - r.p).abs().max().item<double>(), 2e-6);
    }
  }
  EXPECT_TRUE(at::equal(store.at("w").value.detach(), store.at("w").master.to(at::kBFloat16)));
}

// Rounded to the nearest, 0.999 v would be v again for ever; at random its mean is right.
TEST(AdamW, MomentsInBf16FallWithTheirGradients) {
  nn::ParameterStore store({{"w", {4096}}});
  store.allocate_for_training(nn::Precision::kFloat32, [](const std::string&) { return false; });
  store.initialise(1, 0.5);
  OptimizerConfig config;
  config.moments = Moments::kBfloat16;
  config.clip_grad = 0;
  AdamW optimizer(config, store);
  EXPECT_EQ(optimizer.square().scalar_type(), at::kBFloat16);
  store.flat_grad().fill_(1);
  for (int step = 0; step < 200; ++step) optimizer.step(0, 1);
  const double risen = optimizer.square().to(at::kDouble).mean().item<double>();
  EXPECT_NEAR(risen, 1 - std::pow(0.999, 200), 1e-3);
  store.zero_grad();
  for (int step = 0; step < 200; ++step) optimizer.step(0, 0);
  EXPECT_NEAR(optimizer.square().to(at::kDouble).mean().item<double>(), risen * std::pow(0.999, 200), 1e-3);
}

TEST(AdamW, TheUpdateDoesNotDependOnThePiecesThatItGoesBy) {
  constexpr std::int64_t kCount = (2 << 20) + 192;
  const auto updated = [](MomentMemory memory) {
    nn::ParameterStore store({{"w", {kCount}}});
    store.allocate_for_training(nn::Precision::kBfloat16, [](const std::string&) { return false; });
    store.initialise(1, 0.5);
    AdamW optimizer({}, store, std::move(memory));
    at::manual_seed(4);
    store.flat_grad().normal_();
    for (int step = 0; step < 3; ++step) optimizer.step(1e-2, 1);
    return at::cat({store.flat_master(), optimizer.square(), store.flat_compute().to(at::kFloat)});
  };
  std::int64_t done = 0;
  MomentMemory in_pieces;
  in_pieces.done = [&](std::int64_t begin, std::int64_t end) {
    EXPECT_EQ(begin, done % kCount);
    done += end - begin;
  };
  EXPECT_TRUE(at::equal(updated({}), updated(std::move(in_pieces))));
  EXPECT_EQ(done, 3 * kCount);
}

}  // namespace
}  // namespace sluice::optim
