// Context parallelism in forked ranks against one process.
#include "sluice/parallel/context.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>

#include "sluice/dist/gloo.h"
#include "sluice/nn/gated_delta_net.h"
#include "tests/unit/dist/ranks.h"

namespace sluice::parallel {
namespace {

constexpr std::chrono::seconds kPatience{20};
constexpr std::int64_t kRows = 2, kSeq = 24, kHidden = 10;

std::unique_ptr<dist::Group> world_of(const dist::Rendezvous& here) {
  std::vector<std::int64_t> ranks;
  for (std::int64_t rank = 0; rank < here.world; ++rank) ranks.push_back(rank);
  return dist::Meeting(here, kPatience).group("world", ranks, kPatience);
}

loss::BatchTensors rows(std::vector<std::int64_t> documents, const at::Tensor& real) {
  loss::BatchTensors batch;
  batch.shape = {kRows, kSeq, {}, real, std::move(documents)};
  batch.real = real;
  batch.ids = batch.labels = batch.expert_label = at::zeros({kRows * kSeq}, at::kLong);
  return batch;
}

TEST(Context, HeadsAreSharedOutAndComeBack) {
  dist::run_ranks(2, [](const dist::Rendezvous& here) {
    const auto world = world_of(here);
    const ContextRanks ranks(*world);
    const nn::SequenceShape shape = ranks.own_part(rows({}, {})).shape;
    const at::Tensor all = at::arange(kRows * kSeq * 6 * 2).view({kRows * kSeq, 6, 2}).to(at::kFloat), own = ranks.own_positions(all, shape);
    const at::Tensor split = ranks.split_heads(own, shape);
    EXPECT_TRUE(at::equal(split, all.narrow(1, 3 * here.rank, 3)));
    EXPECT_TRUE(at::equal(ranks.join_heads(split, shape), own));
  });
}

// Elements that matrix products and triangular solves gave since it was set to 0. Their inner dimensions are the same however tokens and heads are
// shared out, so it is a measure of the work.
std::int64_t products = 0;

void count(const at::RecordFunction& called, at::ObserverContext*) {
  const std::string_view name = called.name();
  if (name == "aten::mm" || name == "aten::bmm" || name == "aten::linalg_solve_triangular") products += called.outputs()[0].toTensor().numel();
}

// What a forward and a backward pass give.
struct Found {
  at::Tensor out, hidden_gradient, gradients;  // the last flat
  std::int64_t work = 0;                        // of the forward pass
};

struct Net {
  explicit Net(const nn::DeltaNetSizes& net_sizes)
      : sizes(net_sizes), store({{"net.in_proj_qkvz.weight", {sizes.channels() + sizes.value_heads * sizes.value_dim, kHidden}},
                                 {"net.in_proj_ba.weight", {2 * sizes.value_heads, kHidden}}, {"net.conv1d.weight", {sizes.channels(), sizes.kernel}},
                                 {"net.A_log", {sizes.value_heads}}, {"net.dt_bias", {sizes.value_heads}}, {"net.norm.weight", {sizes.value_dim}},
                                 {"net.out_proj.weight", {kHidden, sizes.value_heads * sizes.value_dim}}}) {
    store.allocate_for_training(nn::Precision::kFloat32, [](const std::string&) { return false; });
    store.initialise(5, 0.5);
  }

  Found run(const at::Tensor& hidden, const at::Tensor& out_gradient, const nn::SequenceShape& shape, const nn::AttentionCore& core) {
    const nn::Seams seams{nn::local_seams().tensor, nn::local_seams().dispatcher, core};
    const at::Tensor leaf = hidden.clone().requires_grad_(true);
    store.zero_grad();
    products = 0;
    const at::Tensor out = nn::GatedDeltaNet(store, "net", sizes).forward(leaf, {shape, seams}, 0);
    const std::int64_t work = products;
    (out * out_gradient).sum().backward();
    return {out.detach(), leaf.grad(), store.flat_grad().clone(), work};
  }

  nn::DeltaNetSizes sizes;
  nn::ParameterStore store;
};

double gap(const at::Tensor& a, const at::Tensor& b) { return ((a - b).abs().max() / b.abs().max()).item<double>(); }

// Results and gradients of one process, for a share of its work.
void require_one_process(std::int64_t ranks, const nn::DeltaNetSizes& sizes, const std::vector<std::int64_t>& documents = {}, const at::Tensor& real = {}) {
  dist::run_ranks(ranks, [&](const dist::Rendezvous& here) {
    at::addGlobalCallback(at::RecordFunctionCallback(nullptr, &count).needsOutputs(true));
    at::manual_seed(1);
    const auto world = world_of(here);
    const ContextRanks context(*world);
    Net net(sizes);
    const loss::BatchTensors batch = rows(documents, real);
    const nn::SequenceShape shape = context.own_part(batch).shape;
    const auto own = [&](const at::Tensor& x) { return context.own_positions(x, shape); };
    const at::Tensor hidden = at::randn({kRows * kSeq, kHidden}), out_gradient = at::randn({kRows * kSeq, kHidden});
    const Found one = net.run(hidden, out_gradient, batch.shape, nn::local_seams().attention);
    const Found share = net.run(own(hidden), own(out_gradient), shape, context);
    EXPECT_LT(gap(share.out, own(one.out)), 1e-5);
    EXPECT_LT(gap(share.hidden_gradient, own(one.hidden_gradient)), 1e-5);
    world->all_reduce(share.gradients, dist::Reduce::kSum);
    EXPECT_LT(gap(share.gradients, one.gradients), 1e-5);
    EXPECT_GT(one.work, kRows * kSeq * (sizes.channels() + sizes.value_heads * (sizes.value_dim + 2) + kHidden)) << "the rule counts beside the projections";
    EXPECT_EQ(share.work * ranks, one.work);
  });
}

TEST(Context, ADeltaNetIsSharedOutByKeyHeads) {
  require_one_process(2, {2, 4, 8, 6, 4, 1e-6});
  require_one_process(3, {3, 3, 4, 4, 2, 1e-6});
}

TEST(Context, ADeltaNetWithFewerKeyHeadsThanRanksIsSharedOutByValueHeads) {
  require_one_process(4, {2, 4, 8, 6, 4, 1e-6});
  require_one_process(2, {1, 4, 4, 4, 4, 1e-6});
}

TEST(Context, ADeltaNetBeginsAnewWithEachDocument) { require_one_process(2, {2, 4, 8, 6, 4, 1e-6}, {0, 5, 24, 31, 48}); }

TEST(Context, ADeltaNetTakesPaddingForZeros) {
  at::Tensor real = at::ones({kRows * kSeq});
  real.narrow(0, 20, 4).zero_();
  require_one_process(2, {2, 4, 8, 6, 4, 1e-6}, {}, real);
}

}  // namespace
}  // namespace sluice::parallel
