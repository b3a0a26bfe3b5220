#include "sluice/parallel/layout.h"

#include <gtest/gtest.h>

#include "sluice/config/fields.h"

namespace sluice::parallel {
namespace {

using Layers = std::vector<std::int64_t>;

// Mixtral 8x7B and DeepSeek-V3, by their config.json.
const ModelSizes kMixtral{.layers = 32, .heads = 32, .kv_heads = 8, .experts = 8, .expert_ffn = 14336};
const ModelSizes kDeepSeekV3{.layers = 61, .heads = 128, .ffn = 18432, .shared_ffn = 2048, .experts = 256, .expert_ffn = 2048};

// What check() says; empty = nothing.
std::string said(const ParallelismConfig& config, const Job& job) {
  Violations violations;
  check(config, job, violations);
  try {
    violations.raise("parallelism");
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

#define EXPECT_SAYS(text, part) EXPECT_TRUE(contains(text, part)) << (text)

Job job(std::int64_t processes, std::optional<ModelSizes> model = std::nullopt) { return {.processes = processes, .model = model}; }

TEST(Layout, RecipeAndYamlHaveEverySetting) {
  ParallelismConfig config;
  Violations violations;
  config::apply(config,
                {{"expert_tensor_parallel_size", {{"2"}}, "r.yaml:1"},
                 {"sequence_parallel", {{"false"}}, "r.yaml:2"},
                 {"pipeline_layers", {{"3", "5"}, true}, "r.yaml:3"},
                 {"virtual_pipeline_model_parallel_size", {{}, false, true}, "r.yaml:4"}},
                violations);
  EXPECT_TRUE(violations.empty());
  EXPECT_EQ(config.expert_tensor_parallel_size, 2);
  EXPECT_EQ(config.sequence_parallel, false);
  EXPECT_EQ(config.pipeline_layers, (Layers{3, 5}));
  EXPECT_SAYS(config::to_yaml(config), "virtual_pipeline_model_parallel_size: null\n");
}

TEST(Layout, OneProcessAndDataParallelismAlwaysFit) {
  EXPECT_EQ(said({}, job(1, kMixtral)), "");
  EXPECT_EQ(said({}, job(7, kDeepSeekV3)), "");
  EXPECT_EQ(said({}, job(7)), "");
}

// Split experts are whole by default, so that TP = 4 and EP = 4 need 4 processes of a stage, not 16.
TEST(Layout, ExpertsAreSplitOneWayByDefault) {
  EXPECT_EQ((ParallelismConfig{.tensor_model_parallel_size = 4}).expert_tensor_size(), 4);
  EXPECT_EQ((ParallelismConfig{.tensor_model_parallel_size = 4, .expert_model_parallel_size = 4}).expert_tensor_size(), 1);
  EXPECT_EQ((ParallelismConfig{.tensor_model_parallel_size = 4, .expert_model_parallel_size = 4, .expert_tensor_parallel_size = 2}).expert_tensor_size(), 2);
}

TEST(Layout, SequencesAreSplitWhereTensorsAre) {
  EXPECT_FALSE(ParallelismConfig{}.splits_sequences());
  EXPECT_TRUE((ParallelismConfig{.tensor_model_parallel_size = 2}).splits_sequences());
  EXPECT_FALSE((ParallelismConfig{.tensor_model_parallel_size = 2, .sequence_parallel = false}).splits_sequences());
}

TEST(Layout, TheGridLaysDataRanksAndExpertsOut) {
  const dist::GridSizes grid = grid_of({.tensor_model_parallel_size = 2, .pipeline_model_parallel_size = 2, .expert_model_parallel_size = 4}, 16);
  EXPECT_EQ(grid.data, 4);
  EXPECT_EQ(grid.world(), 16);
  EXPECT_EQ(grid.expert_tensor, 1);
  EXPECT_EQ(grid.expert_data(), 2);
  EXPECT_THROW(grid_of({.tensor_model_parallel_size = 3}, 16), Error);
  EXPECT_THROW(grid_of({.tensor_model_parallel_size = 0}, 16), Error);
}

// requirements: the layouts of the pages on Megatron-Bridge, VERL and Megatron's model zoo.
TEST(Layout, PublishedLayoutsFit) {
  EXPECT_EQ(said({.tensor_model_parallel_size = 2, .expert_model_parallel_size = 4}, job(8, kMixtral)), "");
  EXPECT_EQ(said({.tensor_model_parallel_size = 2, .pipeline_model_parallel_size = 2, .expert_model_parallel_size = 4}, job(16, kMixtral)), "");
  const ModelSizes qwen3_235b{.layers = 94, .heads = 64, .kv_heads = 4, .experts = 128, .expert_ffn = 1536};
  const std::string uneven = said({.tensor_model_parallel_size = 4, .pipeline_model_parallel_size = 8, .expert_model_parallel_size = 4}, job(32, qwen3_235b));
  EXPECT_SAYS(uneven, "the model's 94 layers do not divide into 8 pipeline stages\n  fix: use parallelism.pipeline_layers=[11, 12, 12, 12, 11, 12, 12, 12]");
  EXPECT_EQ(said({.pipeline_model_parallel_size = 4, .expert_model_parallel_size = 64, .num_layers_in_first_pipeline_stage = 16, .num_layers_in_last_pipeline_stage = 13}, job(256, kDeepSeekV3)), "");
}

TEST(Layout, SaysHowProcessesAreCounted) {
  const ParallelismConfig verl{.pipeline_model_parallel_size = 16, .expert_model_parallel_size = 32, .num_layers_in_first_pipeline_stage = 3, .num_layers_in_last_pipeline_stage = 2};
  const std::string text = said(verl, job(64, kDeepSeekV3));
  EXPECT_SAYS(text, "expert_tensor_parallel_size 1 * expert_model_parallel_size 32 = 32 does not divide the 4 processes of a pipeline stage (64 / 16)");
  EXPECT_SAYS(text, "EP is no factor of its own as in TP x PP x EP x DP");
  EXPECT_SAYS(text, "start 512 processes; on 64 processes everything fits with parallelism.expert_model_parallel_size=4; or with ");
}

TEST(Layout, TheSizesDivideTheProcesses) {
  const std::string text = said({.tensor_model_parallel_size = 3, .pipeline_model_parallel_size = 2}, job(16));
  EXPECT_SAYS(text, "tensor_model_parallel_size 3 * pipeline_model_parallel_size 2 * context_parallel_size 1 = 6 does not divide the run's 16 processes");
  EXPECT_SAYS(text, "start 12 or 18 processes; on 16 processes everything fits with parallelism.tensor_model_parallel_size=4; or with parallelism.tensor_model_parallel_size=2");
  EXPECT_SAYS(said({.tensor_model_parallel_size = 8}, job(2)), "start 8 processes");
}

TEST(Layout, AllThatIsWrongWithASizeIsSaidTogether) {
  const std::string text = said({.tensor_model_parallel_size = 3, .expert_model_parallel_size = 3}, job(3, kMixtral));
  EXPECT_SAYS(text, "3 problems");
  EXPECT_SAYS(text, "tensor_model_parallel_size = 3 does not divide the model's 32 attention heads\n    fix: use 2 or 4");
  EXPECT_SAYS(text, "expert_model_parallel_size = 3 does not divide the model's 8 experts\n    fix: use 2 or 4");
  EXPECT_SAYS(text, "tensor_model_parallel_size = 3 neither divides the model's 8 key-value heads nor is a multiple of them\n    fix: use 2 or 4");
  EXPECT_SAYS(text, "on 3 processes everything fits with ");
}

TEST(Layout, KeyValueHeadsAreSplitOrReplicated) {
  const ModelSizes model{.layers = 2, .heads = 48, .kv_heads = 4};
  for (const std::int64_t tensor : {1, 2, 4, 8, 16}) EXPECT_EQ(said({.tensor_model_parallel_size = tensor}, job(tensor, model)), "") << tensor;
  EXPECT_SAYS(said({.tensor_model_parallel_size = 6}, job(6, model)), "key-value heads");
}

TEST(Layout, EveryWidthDivides) {
  const auto tensor = [](const ModelSizes& model) { return said({.tensor_model_parallel_size = 4}, job(4, model)); };
  EXPECT_SAYS(tensor({.layers = 1, .ffn = 6}), "the model's 6 feed-forward channels");
  EXPECT_SAYS(tensor({.layers = 1, .shared_ffn = 6}), "the model's 6 channels of shared experts");
  EXPECT_SAYS(tensor({.layers = 1, .experts = 8, .expert_ffn = 6}), "expert_tensor_parallel_size = 4 does not divide the model's 6 channels of an expert");
  EXPECT_SAYS(said({.expert_model_parallel_size = 2}, job(2, ModelSizes{.layers = 1, .heads = 2})), "the model has no experts\n  fix: set it to 1");
}

// A model of 2 key heads, each with 2 value heads.
TEST(Layout, ContextRanksShareOutTheHeadsOfLinearAttention) {
  const ModelSizes model{.layers = 4, .heads = 24, .linear_key_heads = 2, .linear_value_heads = 4};
  const auto context = [&](std::int64_t tensor, std::int64_t size) { return said({.tensor_model_parallel_size = tensor, .context_parallel_size = size}, job(tensor * size, model)); };
  for (const std::int64_t size : {1, 2, 4}) EXPECT_EQ(context(1, size), "") << size;
  EXPECT_EQ(context(2, 2), "");
  EXPECT_EQ(context(4, 4), "") << "4 tensor ranks do not divide 2 key heads: each has them all";
  EXPECT_SAYS(context(1, 3), "context_parallel_size = 3 neither divides the model's 2 key heads of linear attention nor is a multiple of them that divides their 4 value heads\n  fix: use 2 or 4");
  EXPECT_SAYS(context(2, 4), "context_parallel_size = 4 neither divides the model's 1 key heads of linear attention on each of 2 tensor-parallel processes");
  EXPECT_SAYS(context(2, 4), "fix: use 2;");
  EXPECT_SAYS(said({.tensor_model_parallel_size = 5, .context_parallel_size = 3}, job(15, model)), "2 problems");
}

TEST(Layout, NumbersAreInRange) {
  EXPECT_SAYS(said({.tensor_model_parallel_size = 0, .zero_stage = 4}, job(8)), "tensor_model_parallel_size = 0 is not from 1 to 4096");
  EXPECT_SAYS(said({.zero_stage = 4}, job(8)), "zero_stage = 4 is not from 0 to 3");
  EXPECT_SAYS(said({.pipeline_model_parallel_size = 2, .pipeline_layers = {8, -1}}, job(8)), "pipeline_layers = -1 is not from 1");
  EXPECT_SAYS(said({.context_parallel_size = std::int64_t{1} << 62}, job(8, kMixtral)), "on 8 processes everything fits with parallelism.context_parallel_size=8");
}

TEST(Layout, InterleavingNeedsAPipeline) {
  EXPECT_SAYS(said({.virtual_pipeline_model_parallel_size = 2}, job(2, kMixtral)), "interleaves chunks of pipeline stages; that takes pipeline_model_parallel_size 2 or more");
  EXPECT_SAYS(said({.num_layers_per_virtual_pipeline_stage = 8}, job(2, kMixtral)), "num_layers_per_virtual_pipeline_stage = 8 interleaves chunks");
  EXPECT_EQ(said({.virtual_pipeline_model_parallel_size = 1}, job(2, kMixtral)), "");
  EXPECT_EQ(said({.pipeline_model_parallel_size = 2, .virtual_pipeline_model_parallel_size = 4}, job(2, kMixtral)), "");
}

TEST(Layout, LayersAreSplitInOneWay) {
  EXPECT_SAYS(said({.pipeline_model_parallel_size = 2, .num_layers_in_first_pipeline_stage = 16, .pipeline_layers = {16, 16}}, job(2)),
              "parallelism.pipeline_layers and parallelism.num_layers_in_first_pipeline_stage both say how layers are split");
  EXPECT_SAYS(said({.pipeline_model_parallel_size = 2, .virtual_pipeline_model_parallel_size = 2, .num_layers_per_virtual_pipeline_stage = 8}, job(2)), "leave one of them out");
  EXPECT_SAYS(said({.num_layers_in_last_pipeline_stage = 3}, job(2)), "num_layers_in_last_pipeline_stage makes one pipeline stage differ");
}

TEST(Layout, LayersAddUp) {
  const auto split = [](ParallelismConfig config, std::int64_t layers) {
    config.pipeline_model_parallel_size = 4;
    return said(config, job(4, ModelSizes{.layers = layers}));
  };
  EXPECT_EQ(split({.pipeline_layers = {1, 2, 3, 4}}, 10), "");
  EXPECT_SAYS(split({}, 10), "the model's 10 layers do not divide into 4 pipeline stages\n  fix: use parallelism.pipeline_layers=[2, 3, 2, 3]");
  EXPECT_SAYS(split({}, 3), "use at most 3 stages");
  EXPECT_SAYS(split({.pipeline_layers = {1, 2, 3}}, 8), "pipeline_layers has 3 numbers for 4 pipeline stages\n  fix: leave it out: the layers divide equally");
  EXPECT_SAYS(split({.pipeline_layers = {1, 2, 3, 5}}, 10), "adds up to 11, not to the model's 10 layers");
  EXPECT_SAYS(split({.num_layers_in_first_pipeline_stage = 3}, 10), "leave 7 of the model's 10 layers to 3 other stages");
  EXPECT_SAYS(split({.num_layers_in_first_pipeline_stage = 30}, 10), "leave -20 of");
  EXPECT_SAYS(split({.virtual_pipeline_model_parallel_size = 2, .num_layers_in_first_pipeline_stage = 1}, 10), "(1, 3, 3 for the first, others and last) do not all divide into 2 chunks");
  EXPECT_SAYS(split({.num_layers_per_virtual_pipeline_stage = 3}, 16), "3 * pipeline_model_parallel_size 4 = 12 does not divide the model's 16 layers\n  fix: use 2 or 4");
  EXPECT_SAYS(split({.virtual_pipeline_model_parallel_size = 2}, 12), "12 layers do not divide into 8 pipeline stages (4 processes * 2 chunks)");
}

TEST(Layout, TheGlobalBatchIsSharedByDataRanks) {
  Job run{.processes = 6, .micro_batch_size = 2, .global_batch_size = 16};
  EXPECT_SAYS(said({}, run), "train.global_batch_size = 16 is not a multiple of train.micro_batch_size = 2 * 6 data-parallel ranks\n  fix: use 12 or 24, or another micro_batch_size");
  EXPECT_EQ(said({.context_parallel_size = 3}, run), "");
  run.global_batch_size = 3;
  EXPECT_SAYS(said({.context_parallel_size = 6}, run), "= 3 is not a multiple of train.micro_batch_size = 2\n  fix: use 2 or 4");
}

TEST(Layout, TheNearestLayoutsChangeTheLeast) {
  const auto near = nearest_layouts({.tensor_model_parallel_size = 3}, job(8, kMixtral), 2);
  ASSERT_EQ(near.size(), 2u);
  EXPECT_EQ(near[0].tensor_model_parallel_size, 4);
  EXPECT_EQ(near[1].tensor_model_parallel_size, 2);
}

TEST(Layout, TheNearestLayoutMaySplitLayersUnevenly) {
  const auto near = nearest_layouts({.pipeline_model_parallel_size = 2}, job(2, ModelSizes{.layers = 5}), 1);
  ASSERT_EQ(near.size(), 1u);
  EXPECT_EQ(near[0].pipeline_model_parallel_size, 2);
  EXPECT_EQ(near[0].pipeline_layers, (Layers{2, 3}));
}

TEST(Layout, EveryNearLayoutBreaksNoRule) {
  ParallelismConfig config{.tensor_model_parallel_size = 5, .pipeline_model_parallel_size = 7, .expert_model_parallel_size = 6, .expert_tensor_parallel_size = 3};
  config.virtual_pipeline_model_parallel_size = 3;
  for (const std::int64_t processes : {1, 2, 6, 24, 64, 512}) {
    const Job run{.processes = processes, .model = kDeepSeekV3, .micro_batch_size = 2, .global_batch_size = 8};
    const auto near = nearest_layouts(config, run, 1000);
    EXPECT_FALSE(near.empty());
    for (const ParallelismConfig& layout : near) EXPECT_EQ(said(layout, run), "");
  }
}

TEST(Layout, ImpossibleNumbersAreLeftOutOfNearLayouts) {
  ParallelismConfig config{.pipeline_model_parallel_size = 2, .expert_tensor_parallel_size = 0, .zero_stage = 2};
  config.virtual_pipeline_model_parallel_size = config.num_layers_per_virtual_pipeline_stage = config.num_layers_in_first_pipeline_stage = 0;
  config.pipeline_layers = {0};
  const auto near = nearest_layouts(config, job(4, kMixtral), 1);
  ASSERT_EQ(near.size(), 1u);
  EXPECT_EQ(near[0].pipeline_model_parallel_size, 2);
  EXPECT_EQ(near[0].zero_stage, 2);
}

TEST(Layout, LayersLieInOrderAndOnce) {
  std::vector<ParallelismConfig> splits{{.pipeline_model_parallel_size = 4},
                                        {.pipeline_model_parallel_size = 4, .virtual_pipeline_model_parallel_size = 3},
                                        {.pipeline_model_parallel_size = 4, .num_layers_per_virtual_pipeline_stage = 2},
                                        {.pipeline_model_parallel_size = 4, .num_layers_in_first_pipeline_stage = 3},
                                        {.pipeline_model_parallel_size = 4, .virtual_pipeline_model_parallel_size = 2, .num_layers_in_first_pipeline_stage = 4, .num_layers_in_last_pipeline_stage = 8},
                                        {.pipeline_model_parallel_size = 2, .virtual_pipeline_model_parallel_size = 2, .pipeline_layers = {5, 6, 6, 7}}};
  for (const ParallelismConfig& split : splits) {
    ASSERT_EQ(said(split, job(4, ModelSizes{.layers = 24})), "");
    std::int64_t next = 0;
    for (std::int64_t chunk = 0; chunk < chunks_of(split, 24); ++chunk) {
      for (std::int64_t stage = 0; stage < split.pipeline_model_parallel_size; ++stage) {
        const LayerRange range = layers_of(split, 24, stage, chunk);
        EXPECT_EQ(range.begin, next);
        EXPECT_GT(range.end, range.begin);
        next = range.end;
      }
    }
    EXPECT_EQ(next, 24);
  }
}

TEST(Layout, StagesHaveTheLayersThatSettingsSay) {
  const ParallelismConfig ends{.pipeline_model_parallel_size = 4, .num_layers_in_first_pipeline_stage = 16, .num_layers_in_last_pipeline_stage = 13};
  EXPECT_EQ(layers_of(ends, 61, 0, 0), (LayerRange{0, 16}));
  EXPECT_EQ(layers_of(ends, 61, 2, 0), (LayerRange{32, 48}));
  EXPECT_EQ(layers_of(ends, 61, 3, 0), (LayerRange{48, 61}));
  const ParallelismConfig chunks{.pipeline_model_parallel_size = 2, .virtual_pipeline_model_parallel_size = 2};
  EXPECT_EQ(layers_of(chunks, 8, 1, 0), (LayerRange{2, 4}));
  EXPECT_EQ(layers_of(chunks, 8, 0, 1), (LayerRange{4, 6}));
  EXPECT_EQ(layers_of({}, 8, 0, 0), (LayerRange{0, 8}));
}

}  // namespace
}  // namespace sluice::parallel
