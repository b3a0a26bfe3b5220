#include "sluice/kernels/cpu/attention.h"

#include <cstring>
#include <optional>

#include "tests/unit/kernels/reference.h"

namespace sluice::kernels::cpu {
namespace {

class Attention : public Bf16KernelTest {};

enum class Order { kRowsThenHeads, kHeadsThenRows };  // [batch, seq, heads, dim] or [batch, heads, seq, dim]

struct Case {
  std::int64_t batch, seq, heads, kv_heads, head_dim;
  std::vector<std::int64_t> lengths;
  Order order = Order::kRowsThenHeads;
};

HeadStrides strides(const Case& c, std::int64_t heads) {
  if (c.order == Order::kRowsThenHeads) return contiguous_heads(c.seq, heads, c.head_dim);
  return {heads * c.seq * c.head_dim, c.head_dim, c.seq * c.head_dim};
}

struct Tensor {  // heads of one kind, with where an element lies
  std::vector<Bf16> data;
  HeadStrides at;
  Tensor(const Case& c, std::int64_t heads, std::uint64_t seed)
      : data(random_bf16(c.batch * c.seq * heads * c.head_dim, seed)), at(strides(c, heads)) {}
  std::size_t index(std::int64_t b, std::int64_t s, std::int64_t h, std::int64_t j) const {
    return static_cast<std::size_t>(b * at.batch + s * at.row + h * at.head + j);
  }
  Heads<const Bf16> in() const { return {data.data(), at}; }
  Heads<Bf16> out() { return {data.data(), at}; }
};

struct Tensors {
  Tensor q, k, v, out, dout, dq, dk, dv;
  std::vector<float> lse;
  explicit Tensors(const Case& c)
      : q(c, c.heads, 1),
        k(c, c.kv_heads, 2),
        v(c, c.kv_heads, 3),
        out(c, c.heads, 4),
        dout(c, c.heads, 5),
        dq(c, c.heads, 6),
        dk(c, c.kv_heads, 7),
        dv(c, c.kv_heads, 8),
        lse(static_cast<std::size_t>(c.batch * c.heads * c.seq), 9) {}
};

AttentionShape shape_of(const Case& c) {
  return {c.batch,
          c.seq,
          c.heads,
          c.kv_heads,
          c.head_dim,
          static_cast<float>(1 / std::sqrt(static_cast<double>(c.head_dim))),
          c.lengths.empty() ? nullptr : c.lengths.data()};
}

void compute(const Case& c, Tensors& t, Workspace& workspace) {
  const AttentionShape shape = shape_of(c);
  ASSERT_TRUE(attention_supported(shape));
  attention_forward(shape, t.q.in(), t.k.in(), t.v.in(), t.out.out(), t.lse.data(), workspace);
  attention_backward(shape, {t.q.in(), t.k.in(), t.v.in(), t.out.in(), t.lse.data()}, t.dout.in(), t.dq.out(), t.dk.out(), t.dv.out(),
                     workspace);
}

struct Reference {
  Floats out, lse, dq, dk, dv;
};
double rounded(double x) { return to_float(to_bf16(static_cast<float>(x))); }

// One query at a time in double precision. The gradients start from the out that was kept in bf16, and probabilities and score gradients
// are rounded where the kernel rounds them: the rows of early queries and keys are much larger than the average, so their roundings are
// too.
Reference reference(const Case& c, const Tensors& t) {
  const Floats q = wide(t.q.data), k = wide(t.k.data), v = wide(t.v.data), dout = wide(t.dout.data), out = wide(t.out.data);
  Reference r{Floats(q.size(), 0), Floats(t.lse.size(), 0), Floats(q.size(), 0), Floats(k.size(), 0), Floats(k.size(), 0)};
  const double scale = value(shape_of(c).scale);
  for (std::int64_t b = 0; b < c.batch; ++b) {
    const std::int64_t length = c.lengths.empty() ? c.seq : c.lengths[static_cast<std::size_t>(b)];
    for (std::int64_t h = 0; h < c.heads; ++h) {
      const std::int64_t kv = h / (c.heads / c.kv_heads);
      for (std::int64_t i = 0; i < c.seq; ++i) {
        const std::int64_t visible = std::min(i + 1, length);
        Floats p;
        double sum = 0, delta = 0;
        for (std::int64_t s = 0; s < visible; ++s) {
          double score = 0;
          for (std::int64_t j = 0; j < c.head_dim; ++j) score += q[t.q.index(b, i, h, j)] * k[t.k.index(b, s, kv, j)];
          p.push_back(std::exp(score * scale));
          sum += p.back();
        }
        r.lse[static_cast<std::size_t>((b * c.heads + h) * c.seq + i)] = std::log(sum);
        Floats dp;
        for (std::int64_t s = 0; s < visible; ++s) {
          p[static_cast<std::size_t>(s)] /= sum;
          dp.push_back(0);
          for (std::int64_t j = 0; j < c.head_dim; ++j) {
            const double dy = dout[t.q.index(b, i, h, j)];
            r.out[t.q.index(b, i, h, j)] += p[static_cast<std::size_t>(s)] * v[t.k.index(b, s, kv, j)];
            r.dv[t.k.index(b, s, kv, j)] += rounded(p[static_cast<std::size_t>(s)]) * dy;
            dp.back() += dy * v[t.k.index(b, s, kv, j)];
          }
        }
        for (std::int64_t j = 0; j < c.head_dim; ++j) delta += dout[t.q.index(b, i, h, j)] * out[t.q.index(b, i, h, j)];
        for (std::int64_t s = 0; s < visible; ++s) {
          const double ds = rounded(scale * rounded(p[static_cast<std::size_t>(s)]) * (dp[static_cast<std::size_t>(s)] - delta));
          for (std::int64_t j = 0; j < c.head_dim; ++j) {
            r.dq[t.q.index(b, i, h, j)] += ds * k[t.k.index(b, s, kv, j)];
            r.dk[t.k.index(b, s, kv, j)] += ds * q[t.q.index(b, i, h, j)];
          }
        }
      }
    }
  }
  return r;
}

void check(const Case& c, Workspace& workspace) {
  SCOPED_TRACE("seq " + std::to_string(c.seq) + " heads " + std::to_string(c.heads) + "/" + std::to_string(c.kv_heads) + " head_dim " +
               std::to_string(c.head_dim));
  Tensors t(c);
  compute(c, t, workspace);
  const Reference want = reference(c, t);
  expect_close(t.out.data, want.out, kBf16Chain, "out");
  for (std::size_t i = 0; i < t.lse.size(); ++i) {
    if (std::isinf(want.lse[i])) {
      EXPECT_EQ(t.lse[i], -INFINITY);
    } else {
      EXPECT_NEAR(t.lse[i], want.lse[i], 2e-5) << i;
    }
  }
  expect_close(t.dq.data, want.dq, kBf16Chain, "dq");
  expect_close(t.dk.data, want.dk, kBf16Chain, "dk");
  expect_close(t.dv.data, want.dv, kBf16Chain, "dv");
}

TEST_F(Attention, ForwardAndGradientsEqualTheQueryByQueryReference) {
  Workspace workspace;
  with_threads([&] {
    check({1, 1, 1, 1, 16, {}}, workspace);
    check({2, 37, 4, 2, 64, {}}, workspace);
    check({1, 65, 3, 1, 48, {}}, workspace);
    check({2, 130, 2, 2, 80, {}, Order::kHeadsThenRows}, workspace);
    check({1, 70, 2, 1, 256, {}}, workspace);
    check({3, 128, 2, 1, 32, {}}, workspace);
  });
}

TEST_F(Attention, KeysPastALengthAreNotSeenAndAnEmptySequenceGivesZeros) {
  Workspace workspace;
  with_threads([&] {
    check({4, 75, 4, 2, 32, {75, 1, 0, 64}}, workspace);
    check({2, 200, 2, 1, 64, {131, 65}, Order::kHeadsThenRows}, workspace);
  });
}

TEST_F(Attention, SequencesOfSeveralKeySpansEqualTheReferenceToo) {
  Workspace workspace;
  check({1, 1100, 2, 1, 16, {}}, workspace);
  check({2, 1030, 1, 1, 16, {700, 513}}, workspace);
}

TEST_F(Attention, WhatLiesPastALengthIsNotEvenRead) {
  Workspace workspace;
  const Case c{1, 90, 2, 1, 32, {61}};
  Tensors clean(c), dirty(c);
  for (std::int64_t s = 61; s < c.seq; ++s) {
    for (std::int64_t j = 0; j < c.head_dim; ++j)
      dirty.k.data[dirty.k.index(0, s, 0, j)] = dirty.v.data[dirty.v.index(0, s, 0, j)] = to_bf16(NAN);
  }
  compute(c, clean, workspace);
  compute(c, dirty, workspace);
  EXPECT_EQ(clean.out.data, dirty.out.data);
  EXPECT_EQ(clean.dq.data, dirty.dq.data);
  EXPECT_EQ(clean.dk.data, dirty.dk.data);
}

TEST_F(Attention, LargeScoresDoNotOverflow) {
  Workspace workspace;
  const Case c{1, 600, 1, 1, 16, {}};
  Tensors t(c);
  for (Bf16& x : t.q.data) x = to_bf16(to_float(x) * 100);
  compute(c, t, workspace);
  const Floats out = wide(t.out.data);
  for (const double x : out) ASSERT_TRUE(std::isfinite(x) && std::fabs(x) < 6);
  for (const Bf16 x : t.dq.data) ASSERT_TRUE(std::isfinite(to_float(x)));
}

TEST_F(Attention, BitsDoNotDependOnTheNumberOfThreads) {
  Workspace workspace;
  const Case c{2, 150, 4, 2, 64, {}};
  std::optional<Tensors> first;
  with_threads([&] {
    Tensors t(c);
    compute(c, t, workspace);
    if (!first) first = t;
    EXPECT_EQ(t.out.data, first->out.data);
    EXPECT_EQ(t.lse, first->lse);
    EXPECT_EQ(t.dq.data, first->dq.data);
    EXPECT_EQ(t.dk.data, first->dk.data);
    EXPECT_EQ(t.dv.data, first->dv.data);
  });
}

TEST_F(Attention, OtherHeadSizesAreNotSupportedAndSaySo) {
  for (const std::int64_t head_dim : {0, 8, 24, 272}) EXPECT_FALSE(attention_supported({1, 1, 2, 1, head_dim, 1})) << head_dim;
  EXPECT_FALSE(attention_supported({1, 1, 3, 2, 64, 1}));
}

}  // namespace
}  // namespace sluice::kernels::cpu
