// What a run takes of memory and disk, against what it allocates and against counts by hand.
#include "sluice/train/resources.h"

#include <gtest/gtest.h>

#include <set>

#include "sluice/config/recipe.h"
#include "sluice/train/parameters.h"

namespace sluice::train {
namespace {

ResolvedRecipe recipe_with(const std::vector<std::string>& overrides) {
  std::vector<config::Setting> settings;
  for (const char* text : {"model.vocab_size=300", "model.hidden_size=64", "model.intermediate_size=96", "model.num_hidden_layers=2", "model.num_attention_heads=4",
                           "model.num_key_value_heads=2", "model.num_local_experts=4", "model.num_experts_per_tok=2", "model.max_position_embeddings=128", "train.train_iters=1",
                           "data.path=" SLUICE_SOURCE_DIR "/data/questions/train.jsonl", "model.tokenizer=" SLUICE_SOURCE_DIR "/data/tokenizer", "output_dir=unused"}) {
    settings.push_back(config::parse_override(text));
  }
  for (const std::string& text : overrides) settings.push_back(config::parse_override(text));
  return resolve(settings);
}

// The bytes of all parameters and of the optimizer's two moments; memory that two tensors share counts once.
std::uint64_t allocated_bytes(const ResolvedRecipe& resolved) {
  nn::ParameterStore store(parameters_of(resolved));
  store.allocate_for_training(resolved.recipe.train.precision, frozen_by(resolved.recipe));
  std::set<const void*> seen;
  std::uint64_t bytes = 0;
  for (const nn::Parameter& parameter : store.all()) {
    for (const at::Tensor* tensor : {&parameter.value, &parameter.master, &parameter.grad}) {
      if (tensor->defined() && seen.insert(tensor->data_ptr()).second) bytes += tensor->nbytes();
    }
  }
  return bytes + 2 * static_cast<std::uint64_t>(store.num_trainable()) * sizeof(float);
}

TEST(Footprint, IsWhatTheStoreAndTheOptimizerAllocate) {
  const std::vector<std::vector<std::string>> recipes{{"train.precision=fp32"},
                                                      {"train.precision=bf16"},
                                                      {"train.precision=fp32", "train.freeze=[norm.weight]"},
                                                      {"train.precision=bf16", "train.freeze=[*.experts.*]"},
                                                      {"train.precision=bf16", "moe.freeze_router=true", "train.freeze=[embedding.*, head.*]"},
                                                      {"train.precision=bf16", "routing_supervision.weight=0.1", "routing_supervision.target=learned", "train.freeze=[layers.*]"}};
  for (const auto& overrides : recipes) {
    const ResolvedRecipe resolved = recipe_with(overrides);
    const Footprint found = footprint(resolved);
    // The float32 parameters of a bf16 run leave their places in the flat buffer of copies unused: norms and routers, under 1 %.
    EXPECT_NEAR(static_cast<double>(found.training_bytes) / static_cast<double>(allocated_bytes(resolved)), 1, 0.01) << overrides.back();
  }
}

TEST(Footprint, ACheckpointHoldsWeightsAndMomentsOfWhatIsTrained) {
  const Footprint all = footprint(recipe_with({"train.precision=bf16"})), none = footprint(recipe_with({"train.precision=bf16", "train.freeze=[layers.*, embedding.*, head.*]"}));
  EXPECT_EQ(all.checkpoint_bytes, all.parameters * 12);
  EXPECT_EQ(none.trained, 64u);  // the last norm
  // 2 layers of two norms (64) and a router (4 x 64) stay float32 among the frozen, the rest is bf16.
  const std::uint64_t float32 = 2 * (2 * 64 + 4 * 64);
  EXPECT_EQ(none.checkpoint_bytes, (none.parameters - 64 - float32) * 2 + float32 * 4 + 64 * 12);
}

TEST(Freeze, AStarStandsForAnyRunOfCharacters) {
  Recipe recipe;
  recipe.train.freeze = {"layers.*.experts.*", "head.weight", "*.router.we*ght", "a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b"};
  const auto frozen = frozen_by(recipe);
  for (const char* name : {"layers.0.experts.down.weight", "layers.11.experts.gate_up.weight", "head.weight", "layers.3.router.weight"}) EXPECT_TRUE(frozen(name)) << name;
  for (const char* name : {"layers.0.attention.q_proj.weight", "head.weight2", "ahead.weight", "experts.0", "layers.3.router.bias"}) EXPECT_FALSE(frozen(name)) << name;
  EXPECT_FALSE(frozen(std::string(5000, 'a')));  // and at once: matching does not branch
}

TEST(Disk, CountsTheCheckpointsThatLieThereAtOnce) {
  struct Case {
    std::int64_t save_interval, keep, validation_interval, done, total, expected;
    const char* why;
  };
  for (const Case& c : std::vector<Case>{{0, 3, 0, 0, 100, 1, "the last step alone"},
                                         {10, 3, 0, 0, 100, 4, "three kept, and one being written before the oldest goes"},
                                         {50, 3, 0, 0, 100, 2, "steps 50 and 100"},
                                         {10, 0, 0, 0, 100, 10, "all are kept"},
                                         {10, 3, 20, 0, 100, 5, "and the best"},
                                         {0, 3, 40, 0, 100, 3, "bests at 40 and 80, and the last step"},
                                         {10, 0, 0, 85, 100, 2, "steps 90 and 100"},
                                         {10, 3, 0, 100, 100, 0, "nothing left to do"}}) {
    Recipe recipe;
    recipe.checkpoint.save_interval = c.save_interval;
    recipe.checkpoint.keep = c.keep;
    recipe.train.validation_interval = c.validation_interval;
    EXPECT_EQ(checkpoints_at_once(recipe, c.done, c.total), c.expected) << c.why;
  }
}

}  // namespace
}  // namespace sluice::train
