#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "sluice/base/error.h"
#include "sluice/models/olmoe/config.h"
#include "sluice/models/qwen3_next/config.h"
#include "sluice/models/qwen_moe/config.h"
#include "sluice/models/registry.h"
#include "tests/unit/models/config_checks.h"

namespace sluice::models {
namespace {

// Parameters as the released safetensors files have them.
TEST(QwenMoe, Qwen15MoeA27BHasItsPublishedSize) { EXPECT_EQ(Qwen2MoeConfig().cost(1).parameters, 14'315'784'192); }

TEST(QwenMoe, Qwen2Moe57BHasItsPublishedSize) {
  Qwen2MoeConfig config;
  config.num_hidden_layers = 28;
  config.hidden_size = 3584;
  config.num_attention_heads = 28;
  config.num_key_value_heads = 4;
  config.num_experts = 64;
  config.num_experts_per_tok = 8;
  config.moe_intermediate_size = 2560;
  config.shared_expert_intermediate_size = 20480;
  EXPECT_EQ(config.cost(1).parameters, 57'408'658'944);
}

TEST(QwenMoe, Qwen3MoeHasItsPublishedSizes) {
  Qwen3MoeConfig config;
  config.head_dim = 128;
  config.num_hidden_layers = 48;
  EXPECT_EQ(config.cost(1).parameters, 30'532'122'624);        // Qwen3-30B-A3B
  EXPECT_EQ(config.cost(1).active_parameters, 3'353'032'704);  // "3.3B activated": 8 of 128 experts
  config.num_hidden_layers = 94;
  config.hidden_size = 4096;
  config.num_attention_heads = 64;
  config.moe_intermediate_size = 1536;
  EXPECT_EQ(config.cost(1).parameters, 235'093'634'560);  // Qwen3-235B-A22B
}

TEST(Olmoe, HasItsPublishedSize) {
  OlmoeConfig config;
  config.intermediate_size = 1024;
  EXPECT_EQ(config.cost(1).parameters, 6'919'161'856);  // OLMoE-1B-7B-0924
}

TEST(Qwen3Next, HasItsPublishedSizes) {
  Qwen3NextConfig config;
  EXPECT_EQ(config.cost(1).parameters, 79'674'391'296);  // Qwen3-Next-80B-A3B as transformers loads it
  config.num_nextn_predict_layers = 1;
  EXPECT_EQ(config.cost(1).parameters, 81'324'862'720);  // its files, with multi-token prediction
}

TEST(QwenMoe, DenseLayersFollowStepAndList) {
  Qwen2MoeConfig config;
  config.num_hidden_layers = 6;
  config.decoder_sparse_step = 2;
  config.mlp_only_layers = {3};
  std::string mixtures;
  for (std::int64_t layer = 0; layer < 6; ++layer) mixtures += config.is_mixture(layer) ? 'm' : 'd';
  EXPECT_EQ(mixtures, "dmdddm");
  EXPECT_EQ(config.moe().num_layers, 2);
}

TEST(QwenMoe, ExpertsAreReadFromEitherKeyAndMustAgree) {
  Qwen3MoeConfig written;
  written.num_experts = 12;
  for (const char* dropped : {"num_experts", "num_local_experts"}) {
    Json config = as_hf(written);
    config.erase(dropped);
    Qwen3MoeConfig read;
    read.read_hf(config, "config.json");
    EXPECT_EQ(read.num_experts, 12) << "without " << dropped;
  }
  Json config = as_hf(written);
  config["num_experts"] = 13;
  EXPECT_THROW(Qwen3MoeConfig().read_hf(config, "config.json"), Error);
}

TEST(QwenMoe, EveryOtherLayerBeforeTheLimitHasAWindowUnlessTheListSaysOtherwise) {
  Qwen2MoeConfig config;
  config.num_hidden_layers = 5;
  config.use_sliding_window = true;
  config.sliding_window = 7;
  config.max_window_layers = 4;
  const auto windows = [&] {
    std::vector<std::int64_t> out;
    for (std::int64_t layer = 0; layer < 5; ++layer) out.push_back(config.window(layer));
    return out;
  };
  EXPECT_EQ(windows(), (std::vector<std::int64_t>{7, 0, 7, 0, 0}));
  config.layer_types = {"full_attention", "full_attention", "full_attention", "sliding_attention", "full_attention"};
  EXPECT_EQ(windows(), (std::vector<std::int64_t>{0, 0, 0, 7, 0}));
  EXPECT_EQ(complaints(config), "");
  config.use_sliding_window = false;
  EXPECT_NE(complaints(config).find("model.layer_types has sliding_attention"), std::string::npos);
  config.use_sliding_window = true;
  config.sliding_window.reset();
  EXPECT_NE(complaints(config).find("model.sliding_window is null"), std::string::npos);
}

TEST(QwenMoe, Qwen3MoeHasOneKindOfAttention) {
  Json config = as_hf(Qwen3MoeConfig());
  config["layer_types"] = std::vector<std::string>(24, "sliding_attention");
  EXPECT_THROW(Qwen3MoeConfig().read_hf(config, "config.json"), Error);
  config["use_sliding_window"] = true;
  config["sliding_window"] = 9;
  Qwen3MoeConfig read;
  read.read_hf(config, "config.json");
  EXPECT_EQ(read.sliding_window, 9);
}

TEST(QwenMoe, ImpossibleSizesAreViolationsThatNameTheSetting) {
  Qwen2MoeConfig config;
  EXPECT_EQ(complaints(config), "");
  config.mlp_only_layers = {24};
  EXPECT_NE(complaints(config).find("model.mlp_only_layers"), std::string::npos);
  config = {};
  config.decoder_sparse_step = 0;
  EXPECT_NE(complaints(config).find("model.decoder_sparse_step"), std::string::npos);
  config = {};
  config.shared_expert_intermediate_size = 0;
  EXPECT_NE(complaints(config).find("model.shared_expert_intermediate_size"), std::string::npos);
  config = {};
  config.head_dim = std::int64_t{1} << 60;
  EXPECT_NE(complaints(config).find("sizes ask for"), std::string::npos);
  config = {};
  config.num_experts_per_tok = 61;
  EXPECT_NE(complaints(config).find("model.num_experts_per_tok"), std::string::npos);
}

TEST(Olmoe, HeadsAreAlwaysHiddenOverHeads) {
  OlmoeConfig config;
  EXPECT_EQ(complaints(config), "");
  config.head_dim = 64;
  EXPECT_NE(complaints(config).find("model.head_dim"), std::string::npos);
}

TEST(Qwen3Next, LayersFollowTheListOrTheInterval) {
  Qwen3NextConfig config;
  config.num_hidden_layers = 5;
  config.full_attention_interval = 2;
  EXPECT_FALSE(config.has_attention(0));
  EXPECT_TRUE(config.has_attention(1));
  Qwen3NextConfig read;
  read.read_hf(as_hf(config), "config.json");  // written as a list, which transformers 5.x wants
  for (std::int64_t layer = 0; layer < 5; ++layer) EXPECT_EQ(read.has_attention(layer), config.has_attention(layer));
  config.layer_types = {"full_attention", "linear_attention", "linear_attention", "linear_attention"};
  EXPECT_TRUE(config.has_attention(0));
  EXPECT_NE(complaints(config).find("model.layer_types"), std::string::npos);  // four types, five layers
}

TEST(Qwen3Next, ImpossibleSizesAreViolationsThatNameTheSetting) {
  Qwen3NextConfig config;
  EXPECT_EQ(complaints(config), "");
  config.linear_num_value_heads = 24;
  EXPECT_NE(complaints(config).find("model.linear_num_value_heads"), std::string::npos);
  config = {};
  config.partial_rotary_factor = 0.01;  // two and a half dimensions of 256
  EXPECT_EQ(complaints(config), "");
  config.partial_rotary_factor = 0.005;
  EXPECT_NE(complaints(config).find("model.partial_rotary_factor"), std::string::npos);
  config = {};
  config.linear_num_value_heads = config.linear_value_head_dim = 1 << 24;
  EXPECT_NE(complaints(config).find("sizes ask for"), std::string::npos);
  config = {};
  config.num_nextn_predict_layers = 2;
  EXPECT_NE(complaints(config).find("model.num_nextn_predict_layers"), std::string::npos);
  config = {};
  config.full_attention_interval = 0;
  EXPECT_NE(complaints(config).find("model.full_attention_interval"), std::string::npos);
}

TEST(Qwen3Next, TheCheckpointDecidesOnMultiTokenPrediction) {
  for (const std::string name : {"mtp.fc.weight", "mtp.0.projection.weight"}) {  // in a HF folder, in a native one
    Qwen3NextConfig config;
    config.fit_to_checkpoint([&](const std::string& asked) { return asked == name; });
    EXPECT_EQ(config.num_nextn_predict_layers, 1);
    config.fit_to_checkpoint([](const std::string&) { return false; });
    EXPECT_EQ(config.num_nextn_predict_layers, 0);
  }
}

// A tiny random model of one of the families: every mixture and attention in it is one of theirs.
struct Built {
  explicit Built(const std::string& name) : config(find_architecture(name, "test").make_config()) {
    std::vector<std::pair<std::string, std::string>> sizes{{"vocab_size", "61"},        {"hidden_size", "16"},         {"num_hidden_layers", "4"},
                                                           {"num_attention_heads", "4"}, {"num_key_value_heads", "2"}, {"intermediate_size", "12"},
                                                           {"num_experts", "5"},         {"num_experts_per_tok", "2"}, {"max_position_embeddings", "32"}};
    if (name != "olmoe") sizes.emplace_back("moe_intermediate_size", "6");
    if (name == "qwen3_next") {
      sizes.insert(sizes.end(), {{"head_dim", "8"}, {"linear_num_key_heads", "2"}, {"linear_num_value_heads", "4"}, {"linear_key_head_dim", "6"}, {"linear_value_head_dim", "5"}});
    }
    Violations violations;
    for (const auto& [key, value] : sizes) config->apply({{"model." + key, {.items = {value}}, "test"}}, violations);
    config->check(violations);
    violations.raise("test");
    store = std::make_unique<nn::ParameterStore>(parameter_specs(config->tensor_table()));
    store->allocate_for_training(nn::Precision::kFloat32, [](const std::string&) { return false; });
    store->initialise(9, 0.2);
    model = config->build(*store);
  }
  at::Tensor hidden(const at::Tensor& ids, nn::KvCache* cache) const {
    const nn::ForwardContext context{{ids.size(0), ids.size(1), {}, {}, {}}, nn::local_seams(), nn::Mode::kInference, 0, cache};
    at::Tensor hidden = model->embed(ids.reshape(-1), context);
    for (const auto& block : model->blocks()) hidden = block->forward(hidden, context).hidden;
    if (cache) cache->length += ids.size(1);
    return model->final_norm(hidden).view({ids.size(0), ids.size(1), -1});
  }
  std::unique_ptr<ModelConfig> config;
  std::unique_ptr<nn::ParameterStore> store;
  std::unique_ptr<Model> model;
};

TEST(QwenMoe, TokenByTokenEqualsTheWholePassInAllFourFamilies) {
  const at::NoGradGuard no_grad;
  for (const std::string name : {"qwen2_moe", "qwen3_moe", "olmoe", "qwen3_next"}) {
    const Built built(name);
    at::manual_seed(10);
    const at::Tensor ids = at::randint(61, {2, 19}, at::kLong), whole = built.hidden(ids, nullptr);
    nn::KvCache cache = built.model->make_cache(2, 19);
    std::int64_t at = 0;
    for (const std::int64_t piece : {5, 1, 1, 1, 7, 1, 2, 1}) {
      const double gap = (built.hidden(ids.narrow(1, at, piece), &cache) - whole.narrow(1, at, piece)).abs().max().item<double>();
      EXPECT_LT(gap, 5e-5) << name << ", tokens from " << at;  // float32 sums in another order, over values of about 1
      at += piece;
    }
  }
}

}  // namespace
}  // namespace sluice::models
