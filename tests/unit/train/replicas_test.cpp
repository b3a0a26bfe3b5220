#include "sluice/train/replicas.h"

#include <ATen/ATen.h>

#include "sluice/dist/process.h"
#include "tests/unit/dist/ranks.h"

namespace sluice::train {
namespace {

using dist::Rendezvous;
using std::chrono::seconds;

// Two layers of a model in data-parallel copies; the second layer is frozen.
const std::vector<nn::ParameterSpec> kSpecs{{"embedding.weight", {8, 4}}, {"layers.0.mlp.weight", {4, 4}}, {"layers.1.mlp.weight", {4, 4}}};

// What find_disagreement() says on a rank of a run of `here.world` data-parallel ranks, after `corrupt` has had the rank's parameters.
std::string said(const Rendezvous& here, parallel::Zero zero, nn::Precision precision, const std::function<void(nn::ParameterStore&)>& corrupt) {
  dist::Mesh mesh = dist::make_mesh(std::make_shared<dist::Meeting>(here, seconds(30)), here, seconds(30));
  dist::lay_out(mesh, {.data = here.world});
  const parallel::Holders holders(mesh, [](const dist::Place&) { return kSpecs; }, zero);
  nn::ParameterStore store(kSpecs);
  store.allocate_for_training(precision, [](const std::string& name) { return name == "layers.1.mlp.weight"; }, [&](const nn::ParameterSpec& spec) { return holders.placement(spec); });
  store.initialise(1, 0.02);
  const at::NoGradGuard no_grad;
  corrupt(store);
  return find_disagreement(holders, store);
}

void flip_bit(const at::Tensor& tensor) { static_cast<std::uint8_t*>(tensor.data_ptr())[5] ^= 0x10; }

TEST(Replicas, AgreeWhereNothingHappened) {
  dist::run_ranks(3, [](const Rendezvous& here) { EXPECT_EQ(said(here, parallel::Zero::kNone, nn::Precision::kBfloat16, [](auto&) {}), ""); });
}

TEST(Replicas, AFlippedBitIsFoundByAllRanksAndNamed) {
  dist::run_ranks(3, [](const Rendezvous& here) {
    const std::string text = said(here, parallel::Zero::kNone, nn::Precision::kFloat32, [&](nn::ParameterStore& store) {
      if (here.rank == 1) flip_bit(store.at("layers.0.mlp.weight").value);
    });
    EXPECT_EQ(text, "rank 1 (host " + dist::this_process().host + "): layers.0");
  });
}

TEST(Replicas, SeveralRanksAndGroupsAreAllNamed) {
  dist::run_ranks(4, [](const Rendezvous& here) {
    const std::string host = " (host " + dist::this_process().host + "): ";
    const std::string text = said(here, parallel::Zero::kOptimizer, nn::Precision::kBfloat16, [&](nn::ParameterStore& store) {
      if (here.rank == 0) flip_bit(store.at("embedding.weight").value);
      if (here.rank == 3) flip_bit(store.at("layers.0.mlp.weight").value), flip_bit(store.at("layers.1.mlp.weight").value);
    });
    EXPECT_EQ(text, "rank 0" + host + "what is in no layer; rank 3" + host + "layers.0, layers.1");
  });
}

TEST(Replicas, MastersCountWhereEachRankHasThem) {
  dist::run_ranks(3, [](const Rendezvous& here) {
    const auto master = [&](nn::ParameterStore& store) {
      if (here.rank == 2) flip_bit(store.at("layers.0.mlp.weight").master);
    };
    EXPECT_NE(said(here, parallel::Zero::kNone, nn::Precision::kBfloat16, master), "");
  });
}

TEST(Replicas, UnderZero3OnlyWhatIsFrozenHasSeveralHolders) {
  dist::run_ranks(3, [](const Rendezvous& here) {
    const auto both = [&](nn::ParameterStore& store) {
      if (here.rank == 2) flip_bit(store.at("layers.0.mlp.weight").value), flip_bit(store.at("layers.1.mlp.weight").value);
    };
    EXPECT_EQ(said(here, parallel::Zero::kParameters, nn::Precision::kFloat32, both), "rank 2 (host " + dist::this_process().host + "): layers.1");
  });
}

}  // namespace
}  // namespace sluice::train
