#include <gtest/gtest.h>

#include <cmath>

#include "sluice/loss/cross_entropy.h"
#include "sluice/loss/load_balance.h"
#include "sluice/loss/objective.h"
#include "sluice/loss/routing_supervision.h"

namespace sluice::loss {
namespace {

using nn::RouterRecord;

RouterRecord record(const at::Tensor& logits, std::int64_t top_k) {
  const at::Tensor chosen = std::get<1>(at::topk(logits, top_k, -1));
  return {logits, chosen, chosen};
}

TEST(CrossEntropy, EqualsFullLogitsWithAutograd) {
  at::manual_seed(1);
  for (const nn::Precision precision : {nn::Precision::kFloat32, nn::Precision::kBfloat16}) {
    nn::ParameterStore store({{"head", {101, 24}}});
    store.allocate_for_training(precision, [](const std::string&) { return false; });
    store.initialise(2, 0.5);
    const at::Tensor x = at::randn({1100, 24}), labels = at::randint(0, 101, {1100}, at::kLong);
    labels.narrow(0, 40, 300).fill_(kIgnored);
    const at::Tensor leaf = x.clone().requires_grad_(true), head = store.at("head").master.clone().requires_grad_(true);
    const at::Tensor expected = at::cross_entropy_loss(at::linear(leaf, head), labels, {}, at::Reduction::Sum, kIgnored) * 0.25;
    expected.backward();
    const at::Tensor ours = x.clone().requires_grad_(true);
    const at::Tensor loss = cross_entropy(ours.to(nn::scalar_type(precision)), nn::Head{store.at("head")}, labels, 0.25);
    loss.backward();
    const double tolerance = precision == nn::Precision::kFloat32 ? 2e-6 : 1e-2;
    EXPECT_NEAR(loss.item<double>() / expected.item<double>(), 1, tolerance);
    EXPECT_LT(((ours.grad() - leaf.grad()).norm() / leaf.grad().norm()).item<double>(), tolerance);
    EXPECT_LT(((store.at("head").grad - head.grad()).norm() / head.grad().norm()).item<double>(), tolerance);
  }
}

TEST(CrossEntropy, LabelsShiftWithinTheirRowAlone) {
  const at::Tensor labels = at::tensor({1, 2, 3, 4, 5, 6}, at::kLong).view({2, 3});
  EXPECT_TRUE(at::equal(shift_labels(labels), at::tensor({2, 3, -100, 5, 6, -100}, at::kLong)));
}

// Two layers, three tokens, four experts, top-1: f and P by hand.
TEST(LoadBalance, EqualsTheDefinitionsByHand) {
  const at::Tensor p0 = at::tensor({0.7f, 0.1f, 0.1f, 0.1f, 0.1f, 0.7f, 0.1f, 0.1f, 0.7f, 0.1f, 0.1f, 0.1f}).view({3, 4});
  const at::Tensor p1 = at::tensor({0.1f, 0.1f, 0.1f, 0.7f, 0.1f, 0.1f, 0.7f, 0.1f, 0.1f, 0.1f, 0.1f, 0.7f}).view({3, 4});
  const std::vector<RouterRecord> records{record(p0.log(), 1), record(p1.log(), 1)};
  const at::Tensor f0 = at::tensor({2.0, 1.0, 0.0, 0.0}) / 3, f1 = at::tensor({0.0, 0.0, 1.0, 2.0}) / 3;
  const at::Tensor q0 = p0.mean(0).to(at::kDouble), q1 = p1.mean(0).to(at::kDouble);
  const double pooled = 4 * ((f0 + f1) / 2 * (q0 + q1) / 2).sum().item<double>();
  const double layers = 4 * ((f0 * q0).sum() + (f1 * q1).sum()).item<double>();
  EXPECT_NEAR(load_balance(AuxLoss::kHfPooled, records, {}, 1, nullptr).item<double>(), pooled, 1e-6);
  EXPECT_NEAR(load_balance(AuxLoss::kPerLayer, records, {}, 1, nullptr).item<double>(), layers, 1e-6);
  EXPECT_NEAR(load_balance(AuxLoss::kPerSequence, records, {}, 1, nullptr).item<double>(), layers, 1e-6);
  EXPECT_GT(layers / 2, pooled);  // layers with opposite imbalance cancel in the pooled form
}

TEST(LoadBalance, PaddingChangesNothing) {
  at::manual_seed(3);
  const at::Tensor logits = at::randn({10, 4}), padded = at::cat({logits, at::randn({6, 4})});
  const at::Tensor real = at::cat({at::ones({10}), at::zeros({6})});
  for (const AuxLoss kind : {AuxLoss::kHfPooled, AuxLoss::kPerLayer}) {
    EXPECT_NEAR(load_balance(kind, {record(logits, 2)}, {}, 1, nullptr).item<double>(), load_balance(kind, {record(padded, 2)}, real, 1, nullptr).item<double>(), 1e-6);
  }
  EXPECT_NEAR(router_z({record(logits, 2)}, {}).item<double>(), router_z({record(padded, 2)}, real).item<double>(), 1e-4);
}

TEST(LoadBalance, GlobalFrequenciesMakeTheLossIndependentOfTheCut) {
  at::manual_seed(4);
  const at::Tensor logits = at::randn({12, 4}).requires_grad_(true);
  const RouterRecord whole = record(logits, 2), first = record(logits.narrow(0, 0, 5), 2), second = record(logits.narrow(0, 5, 7), 2);
  const GlobalFrequencies global{chosen_counts({whole}, {}) / 12, 12};
  for (const AuxLoss kind : {AuxLoss::kHfPooled, AuxLoss::kPerLayer}) {
    const double once = load_balance(kind, {whole}, {}, 1, nullptr).item<double>();
    const double cut = load_balance(kind, {first}, {}, 1, &global).item<double>() + load_balance(kind, {second}, {}, 1, &global).item<double>();
    EXPECT_NEAR(once, cut, 1e-6);
  }
}

TEST(BalancedPreferences, LoadEveryExpertEquallyWhateverTheSharesOfTheLabels) {
  for (const std::vector<double>& counts : {std::vector<double>{1, 1, 1, 1}, {2000, 1500, 505, 832}, {91, 3, 3, 3}, {5, 0, 5, 0}}) {
    for (const std::int64_t experts : {4, 8, 60}) {
      const at::Tensor preferences = balanced_preferences(counts, experts, 0.1, 1.0).to(at::kDouble);
      EXPECT_TRUE(at::allclose(preferences.sum(1), at::ones({4}, at::kDouble), 1e-5));
      at::Tensor share = at::tensor(counts, at::kDouble);
      share = share / share.sum();
      EXPECT_TRUE(at::allclose(at::matmul(share, preferences), at::full({experts}, 1.0 / static_cast<double>(experts), at::kDouble), 1e-5, 1e-7));
    }
  }
}

TEST(BalancedPreferences, EqualLabelsOwnDisjointExperts) {
  const at::Tensor preferences = balanced_preferences({1, 1, 1, 1}, 8, 0.2, 1.0);
  EXPECT_NEAR(preferences[1][2].item<float>(), 0.8 / 2 + 0.2 / 8, 1e-6);
  EXPECT_NEAR(preferences[1][0].item<float>(), 0.2 / 8, 1e-6);
}

TEST(RoutingSupervision, EqualsTheKlByHandAndIsZeroAtItsTarget) {
  const at::Tensor log_preferences = at::tensor({0.6f, 0.3f, 0.1f, 0.2f, 0.2f, 0.6f}).view({2, 3}).log();
  const at::Tensor label = at::tensor({0, 1, -1}, at::kLong);
  RoutingSupervisionConfig config;
  const at::Tensor uniform = at::zeros({3, 3});
  const double expected = ((0.6 * std::log(0.6 * 3) + 0.3 * std::log(0.3 * 3) + 0.1 * std::log(0.1 * 3)) + (0.4 * std::log(0.2 * 3) + 0.6 * std::log(0.6 * 3))) / 2;
  EXPECT_NEAR(routing_supervision(config, {record(uniform, 1)}, log_preferences, label, 2).item<double>(), expected, 1e-6);
  const at::Tensor target = at::cat({log_preferences, uniform.narrow(0, 0, 1)});
  EXPECT_NEAR(routing_supervision(config, {record(target, 1)}, log_preferences, label, 2).item<double>(), 0, 1e-6);
  // The original's form: one loss on the mean of the layers' logits.
  config.aggregate = Aggregate::kMean;
  const double mean = routing_supervision(config, {record(target * 2, 1), record(uniform, 1)}, log_preferences, label, 2).item<double>();
  EXPECT_NEAR(mean, 0, 1e-6);
  config.layers = {1};
  EXPECT_NEAR(routing_supervision(config, {record(target, 1), record(uniform, 1)}, log_preferences, label, 2).item<double>(), expected, 1e-6);
}

TEST(Objective, MicroBatchesAddUpToTheWholeBatch) {
  at::manual_seed(9);
  nn::ParameterStore store({{"head", {17, 8}}});
  store.allocate_for_training(nn::Precision::kFloat32, [](const std::string&) { return false; });
  store.initialise(1, 0.5);
  data::Sample a{{1, 2, 3, 4}, {-100, 2, 3, 4}, {1, 1, 1, 1}, 1, 0}, b{{5, 6, 7, 8}, {-100, -100, -100, 8}, {1, 1, 1, 1}, 3, 2};
  const auto tensors = [](std::vector<data::Sample> samples) { return to_tensors(data::make_batch(samples, 0), Tokens::kAll); };
  const BatchTensors both = tensors({a, b}), first = tensors({a}), second = tensors({b});
  ObjectiveConfig config;
  config.z_coef = 0.1;
  config.supervision.weight = 0.5;
  const at::Tensor hidden = at::randn({8, 8}), logits = at::randn({8, 4}), preferences = balanced_preferences({1, 1, 1, 1}, 4, 0.1, 1).log();
  Denominators whole, cut;
  whole.add(both);
  cut.add(first);
  cut.add(second);
  const auto total = [&](const BatchTensors& batch, std::int64_t from, std::int64_t count, const Denominators& denominators) {
    return objective(config, hidden.narrow(0, from, count), {record(logits.narrow(0, from, count), 2)}, nn::Head{store.at("head")}, batch, preferences, denominators).total().item<double>();
  };
  EXPECT_NEAR(total(both, 0, 8, whole), total(first, 0, 4, cut) + total(second, 4, 4, cut), 1e-6);
  EXPECT_EQ(both.target_tokens, 4);
}

}  // namespace
}  // namespace sluice::loss
