#include "sluice/kernels/cpu/head_loss.h"

#include "sluice/base/error.h"
#include "tests/unit/kernels/reference.h"

namespace sluice::kernels::cpu {
namespace {

class HeadLoss : public Bf16KernelTest {};

struct Case {
  std::int64_t rows, hidden, vocab, chunk_rows;
};
const std::vector<Case> kCases = {{1, 3, 1, 8}, {7, 33, 50, 3}, {40, 64, 301, 16}, {9, 20, 4500, 512}, {0, 4, 10, 8}};

struct Data {
  std::vector<Bf16> x, w;
  std::vector<std::int64_t> labels;
};
Data random_data(const Case& c) {
  Data out{random_bf16(c.rows * c.hidden, 1), random_bf16(c.vocab * c.hidden, 2, 0.5), {}};
  Rng rng(3, 0);
  for (std::int64_t r = 0; r < c.rows; ++r) {
    const auto label = static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(c.vocab)));
    out.labels.push_back(rng.uniform() < 0.3 && c.rows > 1 ? kIgnoredLabel : label);
  }
  return out;
}

HeadLossInput input_of(const Case& c, const Data& data) {
  return {c.rows, c.hidden, c.vocab, data.x.data(), data.w.data(), data.labels.data(), 0.125f, c.chunk_rows};
}

struct Reference {
  double sum = 0;
  Floats row_loss, dx, dw;
};
// In double precision, from logits rounded to bf16 as the kernel (and a bf16 model of HF) keeps them.
Reference reference(const Case& c, const Data& data, double scale) {
  const Floats x = wide(data.x), w = wide(data.w);
  Reference out{0, {}, Floats(x.size(), 0), Floats(w.size(), 0)};
  const Floats logits = product(c.rows, c.vocab, c.hidden, {x.data(), c.hidden, 1}, {w.data(), c.hidden, 1});
  for (std::int64_t r = 0; r < c.rows; ++r) {
    const std::int64_t label = data.labels[static_cast<std::size_t>(r)];
    out.row_loss.push_back(0);
    if (label == kIgnoredLabel) continue;
    Floats row;
    double sum = 0;
    for (std::int64_t v = 0; v < c.vocab; ++v) {
      row.push_back(to_float(to_bf16(static_cast<float>(logits[static_cast<std::size_t>(r * c.vocab + v)]))));
      sum += std::exp(row.back());
    }
    out.row_loss.back() = std::log(sum) - row[static_cast<std::size_t>(label)];
    out.sum += out.row_loss.back();
    for (std::int64_t v = 0; v < c.vocab; ++v) {
      const double gradient = scale * (std::exp(row[static_cast<std::size_t>(v)]) / sum - (v == label ? 1 : 0));
      for (std::int64_t j = 0; j < c.hidden; ++j) {
        const auto xi = static_cast<std::size_t>(r * c.hidden + j), wi = static_cast<std::size_t>(v * c.hidden + j);
        out.dx[xi] += gradient * w[wi];
        out.dw[wi] += gradient * x[xi];
      }
    }
  }
  return out;
}

TEST_F(HeadLoss, LossAndGradientsEqualTheReferenceAtEverySizeAndChunk) {
  Workspace workspace;
  with_threads([&] {
    for (const Case& c : kCases) {
      SCOPED_TRACE("rows " + std::to_string(c.rows) + " vocab " + std::to_string(c.vocab));
      const Data data = random_data(c);
      const HeadLossInput input = input_of(c, data);
      Reference want = reference(c, data, value(input.scale));
      std::vector<Bf16> dx(data.x.size(), to_bf16(9));
      std::vector<float> dx_float(dx.size(), 9), dw(data.w.size(), 1), row_loss(data.labels.size(), 9);
      const double sum = head_loss(input, {dx.data(), nullptr, dw.data(), row_loss.data()}, workspace);
      EXPECT_NEAR(sum, want.sum, 1e-5 * std::fabs(want.sum) + 1e-6);
      for (double& v : want.dw) v += 1;
      expect_close(row_loss, want.row_loss, {1e-5, 1e-5}, "row_loss");
      expect_close(dx, want.dx, kBf16Chain, "dx");
      expect_close(dw, want.dw, kBf16Chain, "dw");
      EXPECT_EQ(head_loss(input, {nullptr, dx_float.data(), nullptr, nullptr}, workspace), sum);
      expect_close(dx_float, want.dx, kBf16Chain, "dx_float");
      EXPECT_EQ(head_loss(input, {}, workspace), sum) << "loss alone";
    }
  });
}

TEST_F(HeadLoss, BitsDependNeitherOnThreadsNorOnWhichOtherRowsAreIgnored) {
  Workspace workspace;
  const Case c{90, 40, 333, 32};
  const Data data = random_data(c);
  std::vector<std::vector<float>> dws;
  with_threads([&] {
    dws.emplace_back(data.w.size());
    head_loss(input_of(c, data), {nullptr, nullptr, dws.back().data(), nullptr}, workspace);
    EXPECT_EQ(dws.back(), dws.front());
  });
  Data one = data;
  std::vector<float> all_losses(data.labels.size()), one_loss(data.labels.size());
  head_loss(input_of(c, data), {nullptr, nullptr, nullptr, all_losses.data()}, workspace);
  for (std::size_t r = 0; r < one.labels.size(); ++r) {
    if (r != 50) one.labels[r] = kIgnoredLabel;
  }
  head_loss(input_of(c, one), {nullptr, nullptr, nullptr, one_loss.data()}, workspace);
  EXPECT_EQ(one_loss[50], all_losses[50]);
}

TEST_F(HeadLoss, NoTrainedRowGivesZeros) {
  Workspace workspace;
  const Case c{5, 6, 7, 2};
  Data data = random_data(c);
  data.labels.assign(5, kIgnoredLabel);
  std::vector<Bf16> dx(data.x.size(), to_bf16(3));
  std::vector<float> dw(data.w.size(), 2), row_loss(5, 9);
  EXPECT_EQ(head_loss(input_of(c, data), {dx.data(), nullptr, dw.data(), row_loss.data()}, workspace), 0);
  EXPECT_EQ(dx, std::vector<Bf16>(dx.size(), 0));
  EXPECT_EQ(dw, std::vector<float>(dw.size(), 2));
  EXPECT_EQ(row_loss, std::vector<float>(5, 0));
}

TEST_F(HeadLoss, ALabelPastTheVocabularyIsAnErrorBeforeAnythingIsWritten) {
  Workspace workspace;
  const Case c{3, 4, 10, 8};
  for (const std::int64_t bad : {std::int64_t{10}, std::int64_t{-1}, std::int64_t{1} << 40}) {
    Data data = random_data(c);
    data.labels = {0, bad, 1};
    std::vector<float> dw(data.w.size(), 2);
    try {
      head_loss(input_of(c, data), {nullptr, nullptr, dw.data(), nullptr}, workspace);
      FAIL() << "no error for label " << bad;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("label " + std::to_string(bad) + " of row 1"), std::string::npos) << error.what();
    }
    EXPECT_EQ(dw, std::vector<float>(dw.size(), 2));
  }
}

}  // namespace
}  // namespace sluice::kernels::cpu
