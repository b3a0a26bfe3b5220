// Recomputed activations against kept ones: the same bits, and less that is kept.
#include "sluice/parallel/recompute.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "sluice/config/recipe.h"
#include "sluice/models/registry.h"
#include "sluice/parallel/apply.h"

// g++ 12 takes a moved-from intrusive_ptr for an uninitialised one (GCC bug 105562's family).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

namespace sluice::parallel {
namespace {

using nn::Module;

const std::map<std::string, std::vector<std::string>>& sizes() {
  static const std::vector<std::string> usual{"hidden_size=32", "intermediate_size=48", "num_hidden_layers=3", "num_attention_heads=4", "max_position_embeddings=64"};
  static const std::map<std::string, std::vector<std::string>> all{
      {"mixtral", {"num_key_value_heads=2", "num_local_experts=4"}},
      {"qwen2_moe", {"num_key_value_heads=2", "num_experts=4", "num_experts_per_tok=2", "moe_intermediate_size=24", "shared_expert_intermediate_size=40"}},
      {"deepseek_v3", {"num_key_value_heads=4", "q_lora_rank=16", "kv_lora_rank=16", "qk_nope_head_dim=8", "qk_rope_head_dim=4", "v_head_dim=8", "n_routed_experts=8", "num_experts_per_tok=2",
                       "n_group=2", "topk_group=1", "moe_intermediate_size=16", "n_shared_experts=1", "first_k_dense_replace=1"}},
      {"llama", {"num_key_value_heads=2"}},
      {"gpt_neox", {}},
  };
  static const std::map<std::string, std::vector<std::string>> joined = [] {
    std::map<std::string, std::vector<std::string>> out = all;
    for (auto& [name, own] : out) own.insert(own.end(), usual.begin(), usual.end());
    out["gpt2"] = {"n_embd=32", "n_layer=3", "n_head=4", "n_positions=64"};
    return out;
  }();
  return joined;
}

// What a forward and a backward pass over one batch give.
struct Result {
  at::Tensor gradients;      // flat
  std::int64_t kept = 0;     // bytes of storages that blocks kept for the backward pass
  std::vector<nn::Scoring> scoring;
};

// Counts, and keeps nothing itself.
class Counter final : public nn::Keeper {
 public:
  explicit Counter(const nn::ParameterStore& store) {
    for (const nn::Parameter& p : store.all()) parameters_.insert(p.value.storage().data());
  }
  nn::Restore keep(const at::Tensor& bytes) override {
    if (!parameters_.contains(bytes.data_ptr())) total += bytes.numel();
    return nullptr;
  }
  std::int64_t total = 0;

 private:
  std::set<const void*> parameters_;
};

Result run(const std::string& family, nn::Precision precision, Activations activations, const std::string& frozen = "") {
  const auto config = models::find_architecture(family, "the test").make_config();
  std::vector<config::Setting> settings{config::parse_override("model.vocab_size=50")};
  for (const std::string& size : sizes().at(family)) settings.push_back(config::parse_override("model." + size));
  Violations violations;
  config->apply(settings, violations);
  config->check(violations);
  violations.raise(family);
  nn::ParameterStore store(models::parameter_specs(config->tensor_table()));
  store.allocate_for_training(precision, [&](const std::string& name) { return name == frozen; });
  store.initialise(5, 0.2);
  const auto model = config->build(store);
  at::manual_seed(1);
  const at::Tensor ids = at::randint(0, 50, {2 * 12}, at::kLong), seed = at::randn({24, 32});
  nn::ForwardContext context{{}, nn::local_seams()};
  context.shape.rows = 2;
  context.shape.seq = 12;
  Counter counter(store);
  activations.keeper = &counter;
  const Pass pass = forward(*model, ids, context, activations);
  at::Tensor total = (pass.hidden.to(at::kFloat) * seed).sum();
  Result result;
  for (const auto& router : pass.routers) {
    total = total + router.logits.square().sum();
    result.scoring.push_back(router.scoring);
  }
  total.backward();
  result.gradients = store.flat_grad().clone();
  result.kept = counter.total;
  return result;
}

Activations selective(std::vector<Module> modules) {
  Activations out(Recompute::kSelective);
  out.modules = std::move(modules);
  return out;
}

constexpr std::array kModules{Module::kCoreAttention, Module::kMoeActivation, Module::kLayerNorm, Module::kMlaUpProjection, Module::kMlp, Module::kMoe};

class EachFamily : public testing::TestWithParam<std::tuple<std::string, nn::Precision>> {};

TEST_P(EachFamily, GivesTheSameGradientsToTheLastBitWhateverIsRecomputed) {
  const auto& [family, precision] = GetParam();
  const Result kept = run(family, precision, Recompute::kNone);
  EXPECT_GT(kept.gradients.norm().item<double>(), 0);
  std::vector<Activations> ways{Recompute::kFull, selective({kModules.begin(), kModules.end()}), selective({Module::kLayerNorm, Module::kMlp})};
  for (const Module module : kModules) ways.push_back(selective({module}));
  for (std::size_t i = 0; i < ways.size(); ++i) {
    const Result again = run(family, precision, ways[i]);
    EXPECT_TRUE(at::equal(kept.gradients, again.gradients)) << family << ", way " << i;
    EXPECT_EQ(kept.scoring, again.scoring);
    EXPECT_LE(again.kept, kept.kept) << family << ", way " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Recompute, EachFamily,
                         testing::Combine(testing::Values("mixtral", "qwen2_moe", "deepseek_v3", "llama", "gpt2", "gpt_neox"),
                                          testing::Values(nn::Precision::kFloat32, nn::Precision::kBfloat16)));

TEST(Recompute, KeepsLessTheMoreIsRecomputed) {
  const auto kept = [](const std::string& family, const Activations& activations) { return run(family, nn::Precision::kFloat32, activations).kept; };
  const std::int64_t tokens = 24, hidden = 32, ffn = 48, layers = 3, element = 4;
  const std::int64_t llama = kept("llama", Recompute::kNone);
  // Of SwiGLU: the gate, its activation, up and their product.
  EXPECT_EQ(llama - kept("llama", selective({Module::kMlp})), layers * tokens * 4 * ffn * element);
  // Of two norms: what is normalised before its weight, one number a token, and the result.
  EXPECT_EQ(llama - kept("llama", selective({Module::kLayerNorm})), layers * 2 * tokens * (2 * hidden + 1) * element);
  // A block's input alone.
  EXPECT_EQ(kept("llama", Recompute::kFull), layers * tokens * hidden * element);
  Activations first = Recompute::kFull;
  first.layers = 1;
  EXPECT_EQ(llama - kept("llama", first), (llama - kept("llama", Recompute::kFull)) / layers);
  const std::int64_t deepseek = kept("deepseek_v3", Recompute::kNone);
  for (const Module module : {Module::kLayerNorm, Module::kMlaUpProjection, Module::kMlp, Module::kMoe}) {
    EXPECT_LT(kept("deepseek_v3", selective({module})), deepseek) << static_cast<int>(module);
  }
}

TEST(Recompute, TrainsTheBlocksAboveAFrozenEmbedding) {
  const Result kept = run("mixtral", nn::Precision::kFloat32, Recompute::kNone, "embedding.weight");
  EXPECT_GT(kept.gradients.norm().item<double>(), 0);
  for (const Activations& way : {Activations(Recompute::kFull), selective({kModules.begin(), kModules.end()})}) {
    EXPECT_TRUE(at::equal(kept.gradients, run("mixtral", nn::Precision::kFloat32, way, "embedding.weight").gradients));
  }
}

}  // namespace
}  // namespace sluice::parallel
