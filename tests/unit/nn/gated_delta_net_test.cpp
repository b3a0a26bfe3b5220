#include <gtest/gtest.h>

#include <cmath>

#include "sluice/nn/delta_rule.h"
#include "sluice/nn/gated_delta_net.h"

namespace sluice::nn {
namespace {

constexpr std::int64_t kRows = 2, kHeads = 3, kKeyDim = 4, kValueDim = 6;

at::Tensor unit(const at::Tensor& x) { return x / x.norm(2, -1, true); }

DeltaRuleInput random_input(std::int64_t seq) {
  return {unit(at::randn({kRows, kHeads, seq, kKeyDim})), unit(at::randn({kRows, kHeads, seq, kKeyDim})), at::randn({kRows, kHeads, seq, kValueDim}),
          -at::rand({kRows, kHeads, seq}), at::rand({kRows, kHeads, seq})};
}

at::Tensor random_state() { return at::randn({kRows, kHeads, kKeyDim, kValueDim}); }

DeltaRuleInput tokens(const DeltaRuleInput& in, std::int64_t begin, std::int64_t end) {
  const auto cut = [&](const at::Tensor& x) { return x.narrow(2, begin, end - begin); };
  return {cut(in.query), cut(in.key), cut(in.value), cut(in.log_decay), cut(in.beta)};
}

double gap(const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<double>(); }

TEST(DeltaRule, OneTokenByHand) {
  const auto number = [](double x) { return at::full({1, 1, 1, 1}, x); };
  const auto scalar = [](double x) { return at::full({1, 1, 1}, x); };
  // S = 2, halved to 1; the key 3 reads 3, half of (7 - 3) = 2 is written: S = 1 + 3 * 2 = 7; the query 5 reads 35.
  const DeltaRuleInput in{number(5), number(3), number(7), scalar(std::log(0.5)), scalar(0.5)};
  for (const DeltaRuleOutput& found : {delta_rule_by_token(in, number(2)), delta_rule_by_chunk(in, number(2))}) {
    EXPECT_NEAR(found.out.item<double>(), 35, 1e-5);
    EXPECT_NEAR(found.state.item<double>(), 7, 1e-5);
  }
}

TEST(DeltaRule, ChunksEqualTokenByTokenWithAnyTail) {
  at::manual_seed(1);
  for (const std::int64_t seq : {1, 2, 7, 8, 9, 16, 21, 64, 65, 130}) {
    for (const std::int64_t chunk : {1, 3, 8, 64}) {
      const DeltaRuleInput in = random_input(seq);
      for (const at::Tensor& state : {at::Tensor(), random_state()}) {
        const DeltaRuleOutput found = delta_rule_by_chunk(in, state, chunk), expected = delta_rule_by_token(in, state);
        EXPECT_LT(gap(found.out, expected.out), 2e-5) << seq << " tokens in chunks of " << chunk;
        EXPECT_LT(gap(found.state, expected.state), 2e-5) << seq << " tokens in chunks of " << chunk;
      }
    }
  }
}

TEST(DeltaRule, StrongDecayGivesNoInfinity) {  // exp(G_i - G_j) above the diagonal is e^640 here
  at::manual_seed(2);
  DeltaRuleInput in = random_input(64);
  in.log_decay = at::full_like(in.log_decay, -10).requires_grad_(true);
  const DeltaRuleOutput found = delta_rule_by_chunk(in, {});
  found.out.sum().backward();
  EXPECT_LT(gap(found.out, delta_rule_by_token(in, {}).out), 2e-5);
  EXPECT_TRUE(at::isfinite(in.log_decay.grad()).all().item<bool>());
}

TEST(DeltaRule, GradientsOfChunksEqualThoseOfTokens) {
  at::manual_seed(3);
  const DeltaRuleInput base = random_input(19);
  const at::Tensor state = random_state(), seed = at::randn({kRows, kHeads, 19, kValueDim}), state_seed = at::randn_like(state);
  const auto gradients = [&](auto&& rule) {
    std::vector<at::Tensor> leaves;
    for (const at::Tensor& x : {base.query, base.key, base.value, base.log_decay, base.beta, state}) leaves.push_back(x.clone().requires_grad_(true));
    const DeltaRuleOutput out = rule(DeltaRuleInput{leaves[0], leaves[1], leaves[2], leaves[3], leaves[4]}, leaves[5]);
    ((out.out * seed).sum() + (out.state * state_seed).sum()).backward();
    for (at::Tensor& leaf : leaves) leaf = leaf.grad();
    return leaves;
  };
  const auto found = gradients([](const DeltaRuleInput& in, const at::Tensor& s) { return delta_rule_by_chunk(in, s, 8); });
  const auto expected = gradients([](const DeltaRuleInput& in, const at::Tensor& s) { return delta_rule_by_token(in, s); });
  for (std::size_t i = 0; i < found.size(); ++i) EXPECT_LT(gap(found[i], expected[i]), 5e-5) << "input " << i;
}

TEST(DeltaRule, AStateCarriesATextAcrossACut) {
  at::manual_seed(4);
  const DeltaRuleInput in = random_input(50);
  const DeltaRuleOutput whole = delta_rule_by_chunk(in, {}, 16), first = delta_rule_by_chunk(tokens(in, 0, 23), {}, 16);
  const DeltaRuleOutput second = delta_rule_by_chunk(tokens(in, 23, 50), first.state, 16);
  EXPECT_LT(gap(at::cat({first.out, second.out}, 2), whole.out), 2e-5);
  EXPECT_LT(gap(second.state, whole.state), 2e-5);
}

// A delta net with random parameters, float32.
struct Net {
  explicit Net(DeltaNetSizes net_sizes, std::int64_t hidden = 10)
      : sizes(net_sizes), store({{"net.in_proj_qkvz.weight", {sizes.channels() + sizes.value_heads * sizes.value_dim, hidden}},
                                 {"net.in_proj_ba.weight", {2 * sizes.value_heads, hidden}}, {"net.conv1d.weight", {sizes.channels(), sizes.kernel}},
                                 {"net.A_log", {sizes.value_heads}}, {"net.dt_bias", {sizes.value_heads}}, {"net.norm.weight", {sizes.value_dim}},
                                 {"net.out_proj.weight", {hidden, sizes.value_heads * sizes.value_dim}}}) {
    store.allocate_for_training(Precision::kFloat32, [](const std::string&) { return false; });
    store.initialise(5, 0.5);
  }
  at::Tensor forward(const at::Tensor& hidden, std::int64_t rows, KvCache* cache = nullptr, const at::Tensor& real = {}) {
    const ForwardContext context{{rows, hidden.size(0) / rows, {}, real}, local_seams(), Mode::kInference, 0, cache};
    const at::Tensor out = GatedDeltaNet(store, "net", sizes).forward(hidden, context, 0);
    if (cache) cache->length += context.shape.seq;
    return out;
  }
  DeltaNetSizes sizes;
  ParameterStore store;
};

TEST(GatedDeltaNet, PiecesWithACacheEqualAllAtOnce) {
  const at::NoGradGuard no_grad;
  at::manual_seed(6);
  for (const std::int64_t kernel : {1, 2, 4}) {
    Net net({2, 4, 3, 5, kernel, 1e-6});
    const std::int64_t rows = 2, seq = 17;
    const at::Tensor hidden = at::randn({rows * seq, 10}), whole = net.forward(hidden, rows).view({rows, seq, 10});
    KvCache cache;
    cache.layers.push_back(make_delta_net_cache(net.sizes, rows, at::kFloat));
    std::int64_t at = 0;
    for (const std::int64_t piece : {6, 1, 1, 2, 1, 5, 1}) {  // prompts, single tokens, and a piece shorter than the convolution
      const at::Tensor part = net.forward(hidden.view({rows, seq, 10}).narrow(1, at, piece).reshape({-1, 10}), rows, &cache).view({rows, piece, 10});
      EXPECT_LT(gap(part, whole.narrow(1, at, piece)), 2e-5) << "kernel " << kernel << ", tokens from " << at;
      at += piece;
    }
    EXPECT_EQ(at, seq);
  }
}

TEST(GatedDeltaNet, PaddingAtEitherSideChangesNoRealToken) {
  const at::NoGradGuard no_grad;
  at::manual_seed(7);
  Net net({2, 2, 4, 3, 4, 1e-6});
  const at::Tensor text = at::randn({11, 10}), alone = net.forward(text, 1), noise = at::randn({5, 10});
  const at::Tensor ones = at::ones({11}), zeros = at::zeros({5});
  EXPECT_LT(gap(net.forward(at::cat({noise, text}), 1, nullptr, at::cat({zeros, ones})).narrow(0, 5, 11), alone), 2e-5);
  EXPECT_LT(gap(net.forward(at::cat({text, noise}), 1, nullptr, at::cat({ones, zeros})).narrow(0, 0, 11), alone), 2e-5);
}

TEST(GatedDeltaNet, NoTokenSeesALaterOne) {
  const at::NoGradGuard no_grad;
  at::manual_seed(8);
  Net net({1, 3, 4, 4, 4, 1e-6});
  const at::Tensor hidden = at::randn({20, 10}), before = net.forward(hidden, 1);
  hidden[13].add_(1.0);
  const at::Tensor changed = (net.forward(hidden, 1) - before).abs().amax(1);
  EXPECT_EQ(changed.narrow(0, 0, 13).max().item<double>(), 0);
  EXPECT_GT(changed.narrow(0, 13, 7).min().item<double>(), 0);
}

}  // namespace
}  // namespace sluice::nn
