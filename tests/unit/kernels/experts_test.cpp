#include "sluice/kernels/cpu/experts.h"

#include "tests/unit/kernels/reference.h"

namespace sluice::kernels::cpu {
namespace {

class Experts : public Bf16KernelTest {};

enum class Routing { kRandom, kAllToLastExpert, kSomeDropped };

// A random assignment of tokens to experts, sorted by expert as the kernels ask.
struct Assignment {
  ExpertsShape shape;
  std::vector<std::int32_t> row_token, position;
  std::vector<std::int64_t> offsets;
  std::vector<float> row_weight;
  ExpertRows rows() const { return {row_token.data(), offsets.data(), row_weight.data(), position.data()}; }
};

Assignment assign(ExpertsShape shape, Routing routing, std::uint64_t seed) {
  Rng rng(seed, 3);
  std::vector<std::vector<std::int64_t>> slots_of(static_cast<std::size_t>(shape.experts));
  for (std::int64_t slot = 0; slot < shape.tokens * shape.top_k; ++slot) {
    if (routing == Routing::kSomeDropped && rng.uniform() < 0.3) continue;
    // Expert 1 is left empty: nobody may stumble over it.
    std::uint64_t expert = rng.below(static_cast<std::uint64_t>(shape.experts));
    if (expert == 1) expert = 0;
    if (routing == Routing::kAllToLastExpert) expert = static_cast<std::uint64_t>(shape.experts) - 1;
    slots_of[expert].push_back(slot);
  }
  Assignment out{shape, {}, std::vector<std::int32_t>(static_cast<std::size_t>(shape.tokens * shape.top_k), -1), {0}, {}};
  for (const auto& slots : slots_of) {
    for (const std::int64_t slot : slots) {
      out.position[static_cast<std::size_t>(slot)] = static_cast<std::int32_t>(out.row_token.size());
      out.row_token.push_back(static_cast<std::int32_t>(slot / shape.top_k));
      out.row_weight.push_back(static_cast<float>(0.2 + rng.uniform()));
    }
    out.offsets.push_back(static_cast<std::int64_t>(out.row_token.size()));
  }
  out.shape.slots = static_cast<std::int64_t>(out.row_token.size());
  return out;
}

struct Weights {
  std::vector<Bf16> hidden, gate_up, down;
};
Weights random_weights(const ExpertsShape& s) {
  const double in = 1 / std::sqrt(static_cast<double>(s.hidden)), inner = 1 / std::sqrt(static_cast<double>(s.ffn));
  return {random_bf16(s.tokens * s.hidden, 1), random_bf16(s.experts * 2 * s.ffn * s.hidden, 2, in),
          random_bf16(s.experts * s.hidden * s.ffn, 3, inner)};
}

// The layer and its gradients in double precision, a row at a time. The gradients start, as the kernels', from the gate_up that was kept in
// bf16 (`kept`); nothing else is rounded.
struct Reference {
  Floats gate_up, out, drow_weight, dhidden, dgate_up_weight, ddown_weight;
};

Reference reference(const Assignment& a, const Weights& weights, const Floats& dout, const Floats& kept) {
  const ExpertsShape& s = a.shape;
  const Floats hidden = wide(weights.hidden), w13 = wide(weights.gate_up), w2 = wide(weights.down);
  Reference ref;
  ref.out.assign(static_cast<std::size_t>(s.tokens * s.hidden), 0);
  ref.dhidden = ref.out;
  ref.dgate_up_weight.assign(w13.size(), 0);
  ref.ddown_weight.assign(w2.size(), 0);
  for (std::int64_t e = 0; e < s.experts; ++e) {
    for (std::int64_t r = a.offsets[static_cast<std::size_t>(e)]; r < a.offsets[static_cast<std::size_t>(e) + 1]; ++r) {
      const auto t = static_cast<std::int64_t>(a.row_token[static_cast<std::size_t>(r)]);
      const double weight = value(a.row_weight[static_cast<std::size_t>(r)]);
      const double* x = hidden.data() + t * s.hidden;
      const double* w = w13.data() + e * 2 * s.ffn * s.hidden;
      const double* down = w2.data() + e * s.hidden * s.ffn;
      const double* dy = dout.data() + t * s.hidden;
      double* dw = ref.dgate_up_weight.data() + e * 2 * s.ffn * s.hidden;
      const Floats gu = product(1, 2 * s.ffn, s.hidden, {x, 0, 1}, {w, s.hidden, 1});
      ref.gate_up.insert(ref.gate_up.end(), gu.begin(), gu.end());
      double dweight = 0;
      for (std::int64_t f = 0; f < s.ffn; ++f) {
        const auto silu = [](double g) { return g / (1 + std::exp(-g)); };
        const double h_exact = silu(gu[static_cast<std::size_t>(f)]) * gu[static_cast<std::size_t>(s.ffn + f)];
        const double gate = kept[static_cast<std::size_t>(r * 2 * s.ffn + f)], up = kept[static_cast<std::size_t>((r * 2 + 1) * s.ffn + f)];
        const double sigmoid = 1 / (1 + std::exp(-gate)), h = gate * sigmoid * up;
        double dh = 0;
        for (std::int64_t j = 0; j < s.hidden; ++j) {
          ref.out[static_cast<std::size_t>(t * s.hidden + j)] += weight * h_exact * down[j * s.ffn + f];
          dh += dy[j] * down[j * s.ffn + f];
          ref.ddown_weight[static_cast<std::size_t>((e * s.hidden + j) * s.ffn + f)] += dy[j] * weight * h;
        }
        dweight += dh * h;
        const double dgate = dh * weight * up * sigmoid * (1 + gate * (1 - sigmoid)), dup = dh * weight * gate * sigmoid;
        for (std::int64_t j = 0; j < s.hidden; ++j) {
          dw[f * s.hidden + j] += dgate * x[j];
          dw[(s.ffn + f) * s.hidden + j] += dup * x[j];
          ref.dhidden[static_cast<std::size_t>(t * s.hidden + j)] += dgate * w[f * s.hidden + j] + dup * w[(s.ffn + f) * s.hidden + j];
        }
      }
      ref.drow_weight.push_back(dweight);
    }
  }
  return ref;
}

struct Results {
  std::vector<Bf16> gate_up, y;
  std::vector<float> out, drow_weight, dhidden, dgate_up_weight, ddown_weight;
  ExpertsGradients wanted() { return {drow_weight.data(), dhidden.data(), dgate_up_weight.data(), ddown_weight.data()}; }
};

template <class Gradient>
Results compute(const Assignment& a, const Weights& weights, const std::vector<Gradient>& dout, Workspace& workspace) {
  const ExpertsShape& s = a.shape;
  const auto size = [](std::int64_t n) { return static_cast<std::size_t>(n); };
  Results got{std::vector<Bf16>(size(s.slots * 2 * s.ffn)),     std::vector<Bf16>(size(s.slots * s.hidden)),
              std::vector<float>(size(s.tokens * s.hidden), 9), std::vector<float>(size(s.slots), 9),
              std::vector<float>(size(s.tokens * s.hidden), 9), std::vector<float>(weights.gate_up.size(), 1),
              std::vector<float>(weights.down.size(), 1)};
  experts_forward(s, a.rows(), weights.hidden.data(), weights.gate_up.data(), weights.down.data(), got.gate_up.data(), got.y.data(),
                  workspace);
  experts_combine(s, a.rows(), got.y.data(), nullptr, got.out.data(), workspace);
  experts_backward(s, a.rows(), dout.data(), weights.hidden.data(), got.gate_up.data(), weights.gate_up.data(), weights.down.data(),
                   got.wanted(), workspace);
  return got;
}

void check(const ExpertsShape& shape, Routing routing, Workspace& workspace) {
  SCOPED_TRACE("tokens " + std::to_string(shape.tokens) + " experts " + std::to_string(shape.experts) + " hidden " +
               std::to_string(shape.hidden) + " ffn " + std::to_string(shape.ffn) + " routing " +
               std::to_string(static_cast<int>(routing)));
  const Assignment a = assign(shape, routing, 11);
  const Weights weights = random_weights(a.shape);
  const auto dout = random_bf16(shape.tokens * shape.hidden, 5);
  const Results got = compute(a, weights, dout, workspace);
  Reference want = reference(a, weights, wide(dout), wide(got.gate_up));
  for (double& x : want.dgate_up_weight) x += 1;  // added to the ones that were there
  for (double& x : want.ddown_weight) x += 1;
  expect_close(got.gate_up, want.gate_up, kBf16Out, "gate_up");
  expect_close(got.out, want.out, kBf16Chain, "out");
  expect_close(got.drow_weight, want.drow_weight, kShortSigmoid, "drow_weight");
  expect_close(got.dhidden, want.dhidden, kBf16Chain, "dhidden");
  expect_close(got.dgate_up_weight, want.dgate_up_weight, kBf16Chain, "dw_gate_up");
  expect_close(got.ddown_weight, want.ddown_weight, kBf16Chain, "dw_down");
}

TEST_F(Experts, ForwardAndGradientsEqualTheRowByRowReference) {
  Workspace workspace;
  with_threads([&] {
    for (const Routing routing : {Routing::kRandom, Routing::kAllToLastExpert, Routing::kSomeDropped}) {
      check({50, 2, 0, 4, 48, 80}, routing, workspace);
      check({33, 3, 0, 5, 37, 29}, routing, workspace);
      check({1, 1, 0, 1, 3, 5}, routing, workspace);
      check({70, 1, 0, 3, 64, 101}, routing, workspace);
    }
  });
}

TEST_F(Experts, FloatGradientsAreRoundedToBf16First) {
  Workspace workspace;
  const Assignment a = assign({40, 2, 0, 4, 35, 64}, Routing::kRandom, 12);
  const Weights weights = random_weights(a.shape);
  const auto dout = random_floats(a.shape.tokens * a.shape.hidden, 6);
  std::vector<Bf16> rounded;
  for (const float x : dout) rounded.push_back(to_bf16(x));
  const Results from_float = compute(a, weights, dout, workspace), from_bf16 = compute(a, weights, rounded, workspace);
  EXPECT_EQ(from_float.dhidden, from_bf16.dhidden);
  EXPECT_EQ(from_float.dgate_up_weight, from_bf16.dgate_up_weight);
}

TEST_F(Experts, BitsDoNotDependOnTheNumberOfThreads) {
  Workspace workspace;
  const Assignment a = assign({300, 2, 0, 6, 70, 90}, Routing::kRandom, 13);
  const Weights weights = random_weights(a.shape);
  const auto dout = random_bf16(a.shape.tokens * a.shape.hidden, 7);
  std::vector<Results> results;
  with_threads([&] {
    results.push_back(compute(a, weights, dout, workspace));
    EXPECT_EQ(results.back().out, results.front().out);
    EXPECT_EQ(results.back().drow_weight, results.front().drow_weight);
    EXPECT_EQ(results.back().dhidden, results.front().dhidden);
    EXPECT_EQ(results.back().dgate_up_weight, results.front().dgate_up_weight);
    EXPECT_EQ(results.back().ddown_weight, results.front().ddown_weight);
  });
}

TEST_F(Experts, WhatIsNotWantedIsSkippedAndTheRestStaysTheSame) {
  Workspace workspace;
  const Assignment a = assign({30, 2, 0, 4, 33, 40}, Routing::kRandom, 14);
  const Weights weights = random_weights(a.shape);
  const auto dout = random_bf16(a.shape.tokens * a.shape.hidden, 8);
  Results all = compute(a, weights, dout, workspace);
  std::vector<float> dhidden(all.dhidden.size()), ddown(all.ddown_weight.size(), 1);
  std::vector<Bf16> y(all.y.size());
  experts_forward(a.shape, a.rows(), weights.hidden.data(), weights.gate_up.data(), weights.down.data(), nullptr, y.data(), workspace);
  const auto backward = [&](const ExpertsGradients& wanted) {
    experts_backward(a.shape, a.rows(), dout.data(), weights.hidden.data(), all.gate_up.data(), weights.gate_up.data(), weights.down.data(),
                     wanted, workspace);
  };
  backward({nullptr, dhidden.data(), nullptr, nullptr});
  backward({nullptr, nullptr, nullptr, ddown.data()});
  backward({});
  EXPECT_EQ(y, all.y);
  EXPECT_EQ(dhidden, all.dhidden);
  EXPECT_EQ(ddown, all.ddown_weight);
}

TEST_F(Experts, CombineAddsTheResidualInPlaceAndSkipsDroppedSlots) {
  Workspace workspace;
  const ExpertsShape shape{3, 2, 2, 1, 2, 1};
  const std::vector<std::int32_t> position = {0, 1, -1, 1, -1, -1};
  const ExpertRows rows{nullptr, nullptr, nullptr, position.data()};
  const std::vector<Bf16> y = {to_bf16(1), to_bf16(2), to_bf16(10), to_bf16(20)};
  std::vector<float> out = {100, 100, 200, 200, 300, 300};
  experts_combine(shape, rows, y.data(), out.data(), out.data(), workspace);
  EXPECT_EQ(out, (std::vector<float>{111, 122, 210, 220, 300, 300}));
}

}  // namespace
}  // namespace sluice::kernels::cpu
