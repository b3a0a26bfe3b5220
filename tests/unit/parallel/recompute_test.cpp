#include "sluice/parallel/recompute.h"

#include <gtest/gtest.h>

#include "sluice/models/mixtral/config.h"
#include "sluice/parallel/apply.h"

// g++ 12 takes a moved-from intrusive_ptr for an uninitialised one (GCC bug 105562's family).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

namespace sluice::parallel {
namespace {

models::MixtralConfig tiny() {
  models::MixtralConfig config;
  config.vocab_size_ = 50;
  config.hidden_size = 32;
  config.intermediate_size = 48;
  config.num_hidden_layers = 3;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.num_local_experts = 4;
  config.max_position_embeddings = 64;
  return config;
}

at::Tensor gradients(nn::Precision precision, Recompute recompute, const std::string& frozen = "") {
  const models::MixtralConfig config = tiny();
  nn::ParameterStore store(models::parameter_specs(config.tensor_table()));
  store.allocate_for_training(precision, [&](const std::string& name) { return name == frozen; });
  store.initialise(5, 0.2);
  const auto model = config.build(store);
  at::manual_seed(1);
  const at::Tensor ids = at::randint(0, 50, {2 * 12}, at::kLong), seed = at::randn({24, 32});
  nn::ForwardContext context{{}, nn::local_seams()};
  context.shape.rows = 2;
  context.shape.seq = 12;
  const Pass pass = forward(*model, ids, context, recompute);
  at::Tensor total = (pass.hidden.to(at::kFloat) * seed).sum();
  for (const auto& router : pass.routers) total = total + router.logits.square().sum();
  total.backward();
  return store.flat_grad().clone();
}

TEST(Recompute, GivesTheSameGradientsToTheLastBit) {
  for (const nn::Precision precision : {nn::Precision::kFloat32, nn::Precision::kBfloat16}) {
    const at::Tensor kept = gradients(precision, Recompute::kNone), again = gradients(precision, Recompute::kFull);
    EXPECT_GT(kept.norm().item<double>(), 0);
    EXPECT_TRUE(at::equal(kept, again));
  }
}

TEST(Recompute, TrainsTheBlocksAboveAFrozenEmbedding) {
  const at::Tensor kept = gradients(nn::Precision::kFloat32, Recompute::kNone, "embedding.weight");
  EXPECT_GT(kept.norm().item<double>(), 0);
  EXPECT_TRUE(at::equal(kept, gradients(nn::Precision::kFloat32, Recompute::kFull, "embedding.weight")));
}

}  // namespace
}  // namespace sluice::parallel
