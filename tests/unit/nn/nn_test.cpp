#include <gtest/gtest.h>

#include <ATen/Parallel.h>

#include <cmath>
#include <numbers>

#include "sluice/kernels/cpu/cpu_features.h"
#include "sluice/nn/attention.h"
#include "sluice/nn/experts.h"
#include "sluice/nn/linear.h"
#include "sluice/nn/norm.h"
#include "sluice/nn/raw.h"
#include "sluice/nn/rope.h"
#include "sluice/nn/router.h"

namespace sluice::nn {
namespace {

double relative_error(const at::Tensor& a, const at::Tensor& b) {
  return ((a.to(at::kDouble) - b.to(at::kDouble)).norm() / (b.to(at::kDouble).norm() + 1e-30)).item<double>();
}

// What one mixture computes, from parameters of a store in `precision` whose masters are the same in both.
struct Mixture {
  explicit Mixture(Precision precision)
      : store({{"gate_up", {4, 2 * 24, 16}}, {"down", {4, 16, 24}}, {"router", {4, 16}, Init::kNormal, Keep::kFloat32}}) {
    store.allocate_for_training(precision, [](const std::string&) { return false; });
    store.initialise(3, 0.3);
  }
  ParameterStore store;
};

// The mixture with nothing but differentiable ATen operations on float32 leaves: the oracle of ExpertsFunction.
at::Tensor plain_mixture(const at::Tensor& x, const Routing& routing, const at::Tensor& gate_up, const at::Tensor& down) {
  at::Tensor out = at::zeros(x.sizes());
  for (std::int64_t e = 0; e < gate_up.size(0); ++e) {
    const at::Tensor both = at::linear(x, gate_up[e]);
    const auto halves = both.chunk(2, 1);
    const at::Tensor y = at::linear(at::silu(halves[0]) * halves[1], down[e]);
    const at::Tensor weight = (routing.weights * (routing.experts == e)).sum(1, true);
    out = out + weight * y;
  }
  return out;
}

struct MixtureGradients {
  at::Tensor out, x, gate_up, down, router;
};

MixtureGradients run(Precision precision, bool dropping, bool plain) {
  at::manual_seed(11);
  Mixture mixture(precision);
  Parameter &gate_up = mixture.store.at("gate_up"), &down = mixture.store.at("down"), &router = mixture.store.at("router");
  const at::Tensor x32 = at::randn({37, 16}).requires_grad_(true), seed = at::randn({37, 16});
  const at::Tensor x = plain ? x32 : x32.to(scalar_type(precision));
  Routing routing = route_softmax_top_k(router_logits(x, router), 2, TopKWeights::kNormalised);
  if (dropping) drop_beyond_capacity(routing, {}, 4, 0.8);
  at::Tensor out;
  at::Tensor gate_up_leaf = gate_up.master.clone().requires_grad_(true), down_leaf = down.master.clone().requires_grad_(true);
  if (plain) out = plain_mixture(x, routing, gate_up_leaf, down_leaf);
  else out = Experts(ExpertWeights{gate_up, down}).forward(x, routing);
  (out * seed).sum().backward();
  return {out.detach(), x32.grad(), plain ? gate_up_leaf.grad() : gate_up.grad, plain ? down_leaf.grad() : down.grad, router.grad};
}

void expect_close(const MixtureGradients& a, const MixtureGradients& b, double tolerance) {
  EXPECT_LT(relative_error(a.out, b.out), tolerance);
  EXPECT_LT(relative_error(a.x, b.x), tolerance);
  EXPECT_LT(relative_error(a.gate_up, b.gate_up), tolerance);
  EXPECT_LT(relative_error(a.down, b.down), tolerance);
  EXPECT_LT(relative_error(a.router, b.router), tolerance);
}

TEST(Experts, EqualsPlainAutogradInFloat32) { expect_close(run(Precision::kFloat32, false, false), run(Precision::kFloat32, false, true), 2e-6); }
TEST(Experts, EqualsPlainAutogradWithDroppedTokens) { expect_close(run(Precision::kFloat32, true, false), run(Precision::kFloat32, true, true), 2e-6); }

// bf16 has 8 bits of mantissa; a chain of three products and their gradients stays within a few of its roundings (2^-8 = 4e-3).
TEST(Experts, KernelsInBf16StayNearFloat32) { expect_close(run(Precision::kBfloat16, false, false), run(Precision::kFloat32, false, true), 3e-2); }
TEST(Experts, AtenInBf16StaysNearFloat32) {
  const WithoutCpuKernels guard;
  expect_close(run(Precision::kBfloat16, true, false), run(Precision::kFloat32, true, true), 3e-2);
}

TEST(Experts, AnOrderSortsByExpertAndIsStable) {
  const at::Tensor experts = at::tensor({2, 0, 0, -1, 2, 1}, at::kLong).view({3, 2});
  const ExpertOrder order = sort_by_expert(experts, 4);
  EXPECT_EQ(order.offsets, (std::vector<std::int64_t>{0, 2, 3, 5, 5}));
  EXPECT_TRUE(at::equal(order.slot, at::tensor({1, 2, 5, 0, 4}, at::kLong)));
  EXPECT_TRUE(at::equal(order.token, at::tensor({0, 1, 2, 0, 2}, at::kInt)));
  EXPECT_TRUE(at::equal(order.position, at::tensor({3, 0, 1, -1, 4, 2}, at::kInt).view({3, 2})));
}

TEST(Router, CapacityKeepsTheMostProbableOfEachExpert) {
  // Four tokens all choose expert 0 first; at factor 1 it may serve ceil(8 / 4) = 2 of them.
  const at::Tensor logits = at::tensor({5.0, 1.0, 0.0, -1.0, 9.0, 1.0, 0.0, -1.0, 7.0, 1.0, 0.0, -1.0, 6.0, 1.0, 0.0, -1.0}).view({4, 4}).to(at::kFloat);
  Routing routing = route_softmax_top_k(logits, 2, TopKWeights::kNormalised);
  drop_beyond_capacity(routing, {}, 4, 1.0);
  EXPECT_TRUE(at::equal(routing.experts.select(1, 0), at::tensor({-1, 0, 0, -1}, at::kLong)));
  EXPECT_EQ(routing.weights[0][0].item<float>(), 0);
  EXPECT_GT(routing.weights[1][0].item<float>(), 0);
}

TEST(Router, PaddingTakesNoCapacity) {
  at::manual_seed(12);
  const at::Tensor logits = at::randn({12, 4}), padded = at::cat({logits, at::randn({5, 4}) * 9});
  const at::Tensor real = at::cat({at::ones({12}), at::zeros({5})});
  Routing alone = route_softmax_top_k(logits, 2, TopKWeights::kNormalised), with_padding = route_softmax_top_k(padded, 2, TopKWeights::kNormalised);
  drop_beyond_capacity(alone, {}, 4, 0.75);
  drop_beyond_capacity(with_padding, real, 4, 0.75);
  EXPECT_TRUE(at::equal(with_padding.experts.narrow(0, 0, 12), alone.experts));
  EXPECT_TRUE((alone.experts == -1).any().item<bool>());
  EXPECT_TRUE((with_padding.experts.narrow(0, 12, 5) == -1).all().item<bool>());
}

TEST(Linear, AddsItsWeightGradientToTheFlatBufferInEveryPath) {
  for (const Precision precision : {Precision::kFloat32, Precision::kBfloat16}) {
    for (const bool kernels : {true, false}) {
      std::unique_ptr<WithoutCpuKernels> guard;
      if (!kernels) guard = std::make_unique<WithoutCpuKernels>();
      at::manual_seed(5);
      ParameterStore store({{"w", {33, 70}}});
      store.allocate_for_training(precision, [](const std::string&) { return false; });
      store.initialise(1, 0.5);
      const at::Tensor x = at::randn({29, 70}), seed = at::randn({29, 33});
      for (int repeat = 0; repeat < 2; ++repeat) {  // twice: gradients are added, not overwritten
        const at::Tensor y = linear(x.to(scalar_type(precision)).requires_grad_(true), store.at("w"));
        (y.to(at::kFloat) * seed).sum().backward();
      }
      EXPECT_LT(relative_error(store.at("w").grad, 2 * at::mm(seed.t(), x)), precision == Precision::kFloat32 ? 1e-6 : 1e-2);
      EXPECT_EQ(store.at("w").grad.scalar_type(), at::kFloat);
    }
  }
}

TEST(Linear, AFrozenWeightGetsNoGradientButPassesOneOn) {
  ParameterStore store({{"w", {8, 8}}});
  store.allocate_for_training(Precision::kFloat32, [](const std::string&) { return true; });
  store.at("w").value.fill_(1);
  const at::Tensor x = at::ones({2, 8}).requires_grad_(true);
  linear(x, store.at("w")).sum().backward();
  EXPECT_TRUE(at::equal(x.grad(), at::full({2, 8}, 8.0f)));
  EXPECT_FALSE(store.at("w").trainable());
}

TEST(Embedding, AddsTheGradientsOfRepeatedTokens) {
  ParameterStore store({{"table", {5, 3}}});
  store.allocate_for_training(Precision::kBfloat16, [](const std::string&) { return false; });
  embedding(at::tensor({1, 1, 4}, at::kLong), store.at("table")).sum().backward();
  EXPECT_TRUE(at::equal(store.at("table").grad.sum(1), at::tensor({0.0f, 6.0f, 0.0f, 0.0f, 3.0f})));
}

TEST(Norm, EqualsTheFormulaAndTheKernelEqualsAten) {
  at::manual_seed(2);
  ParameterStore store({{"w", {48}, Init::kOnes, Keep::kFloat32}});
  store.allocate_for_training(Precision::kBfloat16, [](const std::string&) { return false; });
  store.initialise(1, 1);
  store.at("w").master.add_(0.3 * at::randn({48}));
  const at::Tensor x = at::randn({9, 48}), seed = at::randn({9, 48});
  const auto gradients = [&](at::ScalarType type) {
    store.zero_grad();
    const at::Tensor leaf = x.clone().requires_grad_(true);
    const at::Tensor y = rms_norm(leaf, store.at("w"), 1e-5, type);
    (y.to(at::kFloat) * seed).sum().backward();
    return std::array{y.detach().to(at::kFloat), leaf.grad(), store.at("w").grad.clone()};
  };
  const auto exact = gradients(at::kFloat), fast = gradients(at::kBFloat16);
  const at::Tensor by_hand = x / (x.square().mean(1, true) + 1e-5).sqrt() * store.at("w").master;
  EXPECT_LT(relative_error(exact[0], by_hand), 1e-6);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_LT(relative_error(fast[i], exact[i]), 1e-2);
}

TEST(Rope, RotatesPairsByPositionTimesFrequency) {
  const RopeTable table = make_rope_table(16, 4, 100.0);  // frequencies 1 and 0.1
  const at::Tensor x = at::tensor({1.0f, 2.0f, 3.0f, 4.0f}).view({1, 1, 4});
  const at::Tensor y = apply_rope(x, table, {1, 5, {}}).view({-1});
  EXPECT_NEAR(y[0].item<float>(), std::cos(5.0) - 3 * std::sin(5.0), 1e-5);
  EXPECT_NEAR(y[2].item<float>(), 3 * std::cos(5.0) + std::sin(5.0), 1e-5);
  EXPECT_NEAR(y[1].item<float>(), 2 * std::cos(0.5) - 4 * std::sin(0.5), 1e-5);
}

// Of each pair of dimensions, the angle at the last of `length` positions.
std::vector<float> last_angles(const RopeTable& table, std::int64_t length) {
  const std::int64_t half = table.cos.size(1);
  const at::Tensor x = at::cat({at::ones({half}), at::zeros({half})}).view({1, 1, 2 * half});
  const at::Tensor y = apply_rope(x, table, {1, length - 1, {}}).view({2, half}), angle = at::atan2(y[1], y[0]);
  return {angle.data_ptr<float>(), angle.data_ptr<float>() + half};
}

RopeScaling dynamic_by(double factor) {
  RopeScaling scaling;
  scaling.rope_type = RopeType::kDynamic;
  scaling.factor = factor;
  return scaling;
}

TEST(Rope, DynamicThetaGrowsWithTheTextBeyondTheModelsPositions) {
  const RopeTable table = make_rope_table(8, 4, 100.0, dynamic_by(3));
  EXPECT_NEAR(last_angles(table, 8)[1], 7 * 0.1, 1e-6);
  // theta (3 * 12 / 8 - 2)^(4 / 2) = 625, whose root is 25
  EXPECT_NEAR(last_angles(table, 12)[1], 11 / 25.0, 1e-6);
  EXPECT_NEAR(last_angles(table, 12)[0], 11 - 4 * std::numbers::pi, 1e-5);
}

TEST(Rope, LongropeDividesByAnotherListInTextsBeyondTheOriginalLength) {
  RopeScaling scaling;
  scaling.rope_type = RopeType::kLongrope;
  scaling.original_max_position_embeddings = 8;
  scaling.short_factor = {1, 2};
  scaling.long_factor = {4, 5};
  const RopeTable table = make_rope_table(64, 4, 100.0, scaling);
  EXPECT_NEAR(last_angles(table, 8)[1], 7 * 0.1 / 2, 1e-6);
  EXPECT_NEAR(last_angles(table, 9)[0], 8.0 / 4, 1e-6);
  EXPECT_NEAR(last_angles(table, 9)[1], 8 * 0.1 / 5, 1e-6);
  const double factor = std::sqrt(1 + std::log(64.0 / 8) / std::log(8.0));  // on cos and sin, of short texts too
  EXPECT_NEAR(table.cos[0][0].item<double>(), factor, 1e-6);
  EXPECT_NEAR(apply_rope(at::ones({1, 1, 4}), table, {1, 63, {}}).square().sum().item<double>(), 4 * factor * factor, 1e-5);
}

TEST(Rope, TheLengthOfPackedRowsIsThatOfTheLongestDocument) {
  const RopeTable table = make_rope_table(4, 4, 100.0, dynamic_by(3));
  at::manual_seed(9);
  const at::Tensor x = at::randn({9, 2, 4});
  const Positions packed{9, 0, at::tensor({0, 1, 2, 0, 1, 2, 3, 4, 5}, at::kLong)};
  EXPECT_TRUE(at::allclose(apply_rope(x, table, packed).narrow(0, 3, 6), apply_rope(x.narrow(0, 3, 6), table, {6, 0, {}})));
  EXPECT_FALSE(at::allclose(apply_rope(x, table, packed).narrow(0, 0, 3), apply_rope(x.narrow(0, 0, 3), table, {3, 0, {}})));
}

TEST(Attention, TheKernelStaysNearAten) {
  at::manual_seed(4);
  const SequenceShape shape{2, 19, {}, {}, {}};
  const at::Tensor q = at::randn({38, 4, 32}), k = at::randn({38, 2, 32}), v = at::randn({38, 2, 32}), seed = at::randn({38, 128});
  const auto gradients = [&](at::ScalarType type) {
    const at::Tensor a = q.clone().requires_grad_(true), b = k.clone().requires_grad_(true), c = v.clone().requires_grad_(true);
    const at::Tensor out = causal_attention(a.to(type), b.to(type), c.to(type), shape);
    (out.to(at::kFloat) * seed).sum().backward();
    return std::array{out.detach(), a.grad(), b.grad(), c.grad()};
  };
  const auto exact = gradients(at::kFloat), fast = gradients(at::kBFloat16);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_LT(relative_error(fast[i], exact[i]), 2e-2);
}

TEST(Attention, AMaskedKeyChangesNothingThatItMayNotSee) {
  at::manual_seed(6);
  SequenceShape shape{1, 6, {}, {}, {}};
  shape.key_mask = (at::arange(6) >= 2).view({1, 6});  // padding at the left
  const at::Tensor q = at::randn({6, 2, 16}), k = at::randn({6, 2, 16}), v = at::randn({6, 2, 16});
  const at::Tensor padded = causal_attention(q, k, v, shape);
  const auto tail = [](const at::Tensor& x) { return x.narrow(0, 2, 4).contiguous(); };
  const at::Tensor alone = causal_attention(tail(q), tail(k), tail(v), {1, 4, {}, {}});
  EXPECT_LT(relative_error(tail(padded), alone), 1e-6);
  EXPECT_TRUE(at::isfinite(padded).all().item<bool>());
}

TEST(Attention, TokenByTokenWithACacheEqualsAllAtOnce) {
  at::manual_seed(8);
  const at::Tensor q = at::randn({7, 4, 16}), k = at::randn({7, 2, 16}), v = at::randn({7, 2, 16});
  const at::Tensor whole = causal_attention(q, k, v, {1, 7, {}, {}});
  LayerCache cache = make_layer_cache({.rows = 1, .kv_heads = 2, .capacity = 7, .head_dim = 16, .value_dim = 16}, at::kFloat);
  std::int64_t before = 0;
  for (const auto& [from, count] : {std::pair<std::int64_t, std::int64_t>{0, 4}, {4, 2}, {6, 1}}) {
    const auto part = [&, f = from, c = count](const at::Tensor& x) { return x.narrow(0, f, c).contiguous(); };
    const at::Tensor out = cached_attention(part(q), part(k), part(v), {1, count, {}, {}}, cache, before);
    EXPECT_LT(relative_error(out, part(whole)), 1e-6);
    before += count;
  }
}

TEST(Attention, OneNewTokenInBf16EqualsTheWholePassToItsRounding) {
  const at::NoGradGuard no_grad;
  for (const std::int64_t head_dim : {16, 48, 256}) {
    for (const std::int64_t window : {0, 3}) {
      at::manual_seed(9);
      const at::Tensor q = at::randn({2 * 6, 4, head_dim}), k = at::randn({2 * 6, 2, head_dim}), v = at::randn({2 * 6, 2, head_dim});
      const AttentionOptions options{.window = window};
      const auto exact = [](const at::Tensor& x) { return x.to(at::kBFloat16).to(at::kFloat); };
      const at::Tensor whole = causal_attention(exact(q), exact(k), exact(v), {2, 6, {}, {}}, options).view({2, 6, -1});
      LayerCache cache = make_layer_cache({.rows = 2, .kv_heads = 2, .capacity = 9, .head_dim = head_dim, .value_dim = head_dim}, at::kBFloat16);
      const auto part = [&](const at::Tensor& x, std::int64_t from, std::int64_t count) {
        return x.view({2, 6, x.size(1), x.size(2)}).narrow(1, from, count).reshape({2 * count, x.size(1), x.size(2)}).to(at::kBFloat16);
      };
      cached_attention(part(q, 0, 5), part(k, 0, 5), part(v, 0, 5), {2, 5, {}, {}}, cache, 0, options);
      const at::Tensor last = cached_attention(part(q, 5, 1), part(k, 5, 1), part(v, 5, 1), {2, 1, {}, {}}, cache, 5, options);
      EXPECT_LT(relative_error(last.to(at::kFloat), whole.select(1, 5)), 4e-3) << head_dim << " " << window;  // bf16 keeps 8 bits
    }
  }
}

TEST(Parameters, RandomValuesDependOnSeedAndNameAloneNotOnThreads) {
  const auto values = [](std::uint64_t seed, int threads) {
    at::set_num_threads(threads);
    ParameterStore store({{"other", {3}}, {"w", {700, 800}}});
    store.allocate_for_training(Precision::kFloat32, [](const std::string&) { return false; });
    store.initialise(seed, 0.02);
    return store.at("w").master.clone();
  };
  const at::Tensor one = values(7, 1), two = values(7, 2), other = values(8, 1);
  EXPECT_TRUE(at::equal(one, two));
  EXPECT_FALSE(at::equal(one, other));
  EXPECT_NEAR(one.std().item<double>(), 0.02, 2e-4);
}

TEST(Parameters, SegmentsCoverEveryTrainableElementOnce) {
  ParameterStore store({{"a", {70}}, {"norm", {5}, Init::kOnes, Keep::kFloat32, Decay::kNo}, {"frozen", {9}}, {"b", {3, 3}}});
  store.allocate_for_training(Precision::kBfloat16, [](const std::string& name) { return name == "frozen"; });
  store.flat_grad().fill_(0);
  for (Parameter& p : store.all()) {
    if (p.trainable()) p.grad.fill_(1);
  }
  double sum = 0;
  for (const auto& segment : store.segments()) sum += segment.grad.sum().item<double>();
  EXPECT_EQ(sum, 70 + 5 + 9);
  EXPECT_EQ(store.segments().size(), 3u);
}

}  // namespace
}  // namespace sluice::nn
