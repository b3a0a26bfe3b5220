#include <gtest/gtest.h>

#include "sluice/base/error.h"
#include "sluice/models/deepseek/config.h"
#include "sluice/models/export_note.h"
#include "sluice/models/glm4_moe/config.h"
#include "sluice/models/qwen_moe/config.h"
#include "tests/unit/models/cached_forward.h"
#include "tests/unit/models/config_checks.h"

namespace sluice::models {
namespace {

template <class Config>
Config tiny_deepseek() {
  Config config;
  config.vocab_size_ = 61, config.hidden_size = 24, config.num_hidden_layers = 3, config.num_attention_heads = 3, config.max_position_embeddings = 64;
  config.intermediate_size = 20, config.moe_intermediate_size = 8, config.n_routed_experts = 6, config.n_shared_experts = 2, config.num_experts_per_tok = 2;
  config.first_k_dense_replace = 1, config.q_lora_rank = 14, config.kv_lora_rank = 10, config.qk_nope_head_dim = 6, config.qk_rope_head_dim = 4, config.v_head_dim = 7;
  config.rope_scaling.rope_type = nn::RopeType::kYarn, config.rope_scaling.factor = 4, config.rope_scaling.original_max_position_embeddings = 16;
  config.rope_scaling.mscale = 0.7, config.rope_scaling.mscale_all_dim = 0.9;
  config.n_group = 3, config.topk_group = 2;
  return config;
}

Glm4MoeConfig tiny_glm() {
  Glm4MoeConfig config;
  config.vocab_size_ = 61, config.hidden_size = 24, config.num_hidden_layers = 3, config.num_attention_heads = 4, config.max_position_embeddings = 64;
  config.num_key_value_heads = 1, config.head_dim = 12;
  config.intermediate_size = 20, config.moe_intermediate_size = 8, config.n_routed_experts = 6, config.num_experts_per_tok = 2;
  return config;
}

DeepseekV2Config deepseek_v2() {
  DeepseekV2Config config;
  config.hidden_size = 5120, config.num_hidden_layers = 60, config.num_attention_heads = 128, config.intermediate_size = 12288, config.moe_intermediate_size = 1536;
  config.n_routed_experts = 160, config.first_k_dense_replace = 1;
  return config;
}

DeepseekV2Config deepseek_v2_lite() {
  DeepseekV2Config config;
  config.hidden_size = 2048, config.num_hidden_layers = 27, config.num_attention_heads = 16, config.intermediate_size = 10944, config.moe_intermediate_size = 1408;
  config.first_k_dense_replace = 1, config.q_lora_rank.reset();
  return config;
}

std::int64_t count(const std::vector<std::int64_t>& shape) {
  std::int64_t n = 1;
  for (const std::int64_t size : shape) n *= size;
  return n;
}

// Elements of an exported folder, copies among them: what a released folder of safetensors files adds up to.
std::int64_t elements_in_files(const ModelConfig& config) {
  std::int64_t total = 0;
  for (const TensorSpec& spec : config.tensor_table()) total += count(spec.parameter.shape) * (1 + static_cast<std::int64_t>(spec.hf_copies.size()));
  return total;
}

TEST(Deepseek, HasItsPublishedSizes) {
  EXPECT_EQ(deepseek_v2().cost(1).parameters, 235'741'434'880);
  EXPECT_EQ(deepseek_v2().cost(1).active_parameters, 21'375'800'320);  // "21B activated"
  EXPECT_EQ(deepseek_v2_lite().cost(1).parameters, 15'706'484'224);
  EXPECT_EQ(DeepseekV3Config().cost(1).parameters, 671'026'419'200);
  EXPECT_EQ(DeepseekV3Config().cost(1).kv_bytes_per_token, 61 * 2 * (2 * 512 + 64));
}

TEST(Glm4Moe, HasItsPublishedSizesWithMultiTokenPrediction) {
  Glm4MoeConfig air;
  air.head_dim = 128, air.attention_bias = true, air.num_nextn_predict_layers = 1;
  EXPECT_EQ(elements_in_files(air), 110'468'824'832);  // GLM-4.5-Air
  Glm4MoeConfig large = air;
  large.hidden_size = 5120, large.num_hidden_layers = 92, large.intermediate_size = 12288, large.moe_intermediate_size = 1536, large.n_routed_experts = 160;
  large.first_k_dense_replace = 3, large.use_qk_norm = true;
  EXPECT_EQ(elements_in_files(large), 358'337'791'296);  // GLM-4.5
}

// With the cache attention runs over the latents, without it over keys and values: the same by another order of products.
TEST(Deepseek, AttentionOverLatentsGivesWhatAttentionOverKeysAndValuesGives) {
  auto v2 = tiny_deepseek<DeepseekV2Config>();
  v2.topk_method = TopkMethod::kGroupLimitedGreedy;
  auto lite = tiny_deepseek<DeepseekV2Config>();
  lite.q_lora_rank.reset(), lite.attention_bias = true, lite.tie_word_embeddings = true, lite.num_hidden_layers = 1, lite.first_k_dense_replace = 0;
  const auto v3 = tiny_deepseek<DeepseekV3Config>();
  auto every_expert = v3;
  every_expert.num_experts_per_tok = 4, every_expert.norm_topk_prob = false;  // all that two of three groups have
  every_expert.rope_interleave = false;
  for (const ModelConfig* config : {static_cast<const ModelConfig*>(&v2), static_cast<const ModelConfig*>(&lite), static_cast<const ModelConfig*>(&v3),
                                    static_cast<const ModelConfig*>(&every_expert)}) {
    ASSERT_EQ(complaints(*config), "");
    const RandomModel model(*config);
    const at::Tensor ids = random_ids(2, 19, 61);
    for (const std::int64_t prompt : {1, 8, 19}) EXPECT_LT(largest_difference(model.logits(ids), model.cached_logits(ids, prompt)), 2e-5) << prompt;
    EXPECT_LT(largest_difference(model.logits(ids.narrow(1, 0, 1)), model.logits(ids).narrow(1, 0, 1)), 2e-5);  // a sequence of one
  }
}

TEST(Glm4Moe, TheCacheGivesWhatWholePassesGive) {
  auto normed = tiny_glm();
  normed.use_qk_norm = true, normed.attention_bias = true, normed.n_group = 2, normed.num_experts_per_tok = 1, normed.tie_word_embeddings = true;
  for (const Glm4MoeConfig& config : {tiny_glm(), normed}) {
    ASSERT_EQ(complaints(config), "");
    const RandomModel model(config);
    const at::Tensor ids = random_ids(2, 17, 61);
    for (const std::int64_t prompt : {1, 7, 17}) EXPECT_LT(largest_difference(model.logits(ids), model.cached_logits(ids, prompt)), 2e-5) << prompt;
  }
}

// Rotary products depend on distances alone, so a row means the same behind padding, wherever that stands.
TEST(Deepseek, PaddingOnEitherSideChangesNoRealToken) {
  const RandomModel model(tiny_deepseek<DeepseekV3Config>());
  const at::Tensor ids = random_ids(1, 12, 61), padding = at::zeros({1, 5}, at::kLong);
  const at::Tensor alone = model.logits(ids), real = at::ones({1, 12}, at::kBool), unreal = at::zeros({1, 5}, at::kBool);
  EXPECT_LT(largest_difference(model.logits(at::cat({ids, padding}, 1)).narrow(1, 0, 12), alone), 2e-5);
  EXPECT_LT(largest_difference(model.logits(at::cat({padding, ids}, 1), at::cat({unreal, real}, 1)).narrow(1, 5, 12), alone), 2e-5);
}

template <class Config>
void expect_complaint(const Config& good, void (*spoil)(Config&), const char* name) {
  Config config = good;
  spoil(config);
  EXPECT_NE(complaints(config).find(name), std::string::npos) << name << ": " << complaints(config);
}

TEST(Deepseek, ImpossibleSizesAreNamed) {
  const auto v3 = tiny_deepseek<DeepseekV3Config>();
  using V3 = DeepseekV3Config;
  expect_complaint<V3>(v3, [](V3& c) { c.kv_lora_rank = 0; }, "model.kv_lora_rank");
  expect_complaint<V3>(v3, [](V3& c) { c.q_lora_rank = -1; }, "model.q_lora_rank");
  expect_complaint<V3>(v3, [](V3& c) { c.qk_rope_head_dim = 5; }, "model.qk_rope_head_dim");
  expect_complaint<V3>(v3, [](V3& c) { c.first_k_dense_replace = -1; }, "model.first_k_dense_replace");
  expect_complaint<V3>(v3, [](V3& c) { c.n_group = 4; }, "model.n_group");
  expect_complaint<V3>(v3, [](V3& c) { c.n_group = 6; }, "model.n_group");  // groups of one have no two best
  expect_complaint<V3>(v3, [](V3& c) { c.n_group = 0; }, "model.n_group");
  expect_complaint<V3>(v3, [](V3& c) { c.topk_group = 4; }, "model.topk_group");
  expect_complaint<V3>(v3, [](V3& c) { c.num_experts_per_tok = 5; }, "model.num_experts_per_tok");
  expect_complaint<V3>(v3, [](V3& c) { c.num_nextn_predict_layers = 2; }, "model.num_nextn_predict_layers");
  expect_complaint<V3>(v3, [](V3& c) { c.num_key_value_heads = 1; }, "model.num_key_value_heads");
  expect_complaint<V3>(v3, [](V3& c) { c.head_dim = 8; }, "model.head_dim");
  expect_complaint<V3>(v3, [](V3& c) { c.rope_scaling.rope_type = nn::RopeType::kLinear; }, "mscale_all_dim");
  const auto v2 = tiny_deepseek<DeepseekV2Config>();
  using V2 = DeepseekV2Config;
  expect_complaint<V2>(v2, [](V2& c) { c.topk_method = TopkMethod::kGroupLimitedGreedy, c.n_group.reset(); }, "model.topk_method");
  expect_complaint<V2>(v2, [](V2& c) { c.hidden_size = 25; }, "model.hidden_size");
}

TEST(Deepseek, WithoutMixturesItIsADenseModel) {
  auto config = tiny_deepseek<DeepseekV3Config>();
  config.first_k_dense_replace = 3;
  EXPECT_EQ(complaints(config), "");
  EXPECT_EQ(config.moe().num_experts, 0);
  EXPECT_EQ(config.cost(1).parameters, config.cost(1).active_parameters);
  config.num_nextn_predict_layers = 1;  // whose block has one
  EXPECT_EQ(config.moe().num_layers, 0);
  EXPECT_EQ(config.moe().expert_biases, std::vector<std::string>{"mtp.0.router.correction_bias"});
}

TEST(Glm4Moe, ImpossibleSizesAreNamed) {
  using Glm = Glm4MoeConfig;
  expect_complaint<Glm>(tiny_glm(), [](Glm& c) { c.partial_rotary_factor = 0; }, "model.partial_rotary_factor");
  expect_complaint<Glm>(tiny_glm(), [](Glm& c) { c.partial_rotary_factor = 0.45; }, "model.partial_rotary_factor");  // 5 of 12
  expect_complaint<Glm>(tiny_glm(), [](Glm& c) { c.n_group = 5; }, "model.n_group");
  expect_complaint<Glm>(tiny_glm(), [](Glm& c) { c.n_shared_experts = 0; }, "model.n_shared_experts");
  expect_complaint<Glm>(tiny_glm(), [](Glm& c) { c.num_nextn_predict_layers = -1; }, "model.num_nextn_predict_layers");
}

// Settings that would change what the model computes, and that the room computes in one way only.
TEST(Deepseek, WhatItDoesNotComputeIsAnErrorThatNamesTheKey) {
  const auto refuses = [](ModelConfig&& config, const Json& file, const char* key, const Json& value) {
    Json changed = file;
    changed[key] = value;
    try {
      config.read_hf(changed, "config.json");
    } catch (const Error& error) {
      return std::string(error.what()).find(key) != std::string::npos;
    }
    return false;
  };
  const Json v2 = as_hf(tiny_deepseek<DeepseekV2Config>()), v3 = as_hf(tiny_deepseek<DeepseekV3Config>());
  EXPECT_TRUE(refuses(DeepseekV2Config(), v2, "mlp_bias", true));
  EXPECT_TRUE(refuses(DeepseekV2Config(), v2, "moe_layer_freq", 2));
  EXPECT_TRUE(refuses(DeepseekV2Config(), v2, "topk_method", "noaux_tc"));
  EXPECT_TRUE(refuses(DeepseekV3Config(), v3, "scoring_func", "softmax"));
  EXPECT_TRUE(refuses(DeepseekV3Config(), v3, "hidden_act", "gelu"));
}

TEST(Deepseek, ConfigsSurviveHfsFileInEitherStyle) {
  auto config = tiny_deepseek<DeepseekV3Config>();
  config.norm_topk_prob = false, config.attention_bias = true, config.routed_scaling_factor = 1.25, config.num_nextn_predict_layers = 1, config.rope_theta = 5e4;
  for (const char* dropped : {"rope_parameters", "rope_scaling"}) {
    Json file = as_hf(config);
    file.erase(dropped);
    DeepseekV3Config read;
    read.read_hf(file, "config.json");
    read.head_dim = config.head_dim, read.num_key_value_heads = config.num_key_value_heads;  // written out for HF
    EXPECT_EQ(read.to_yaml(), config.to_yaml()) << dropped;
  }
}

TEST(ExportNote, IsForDeepseekV2WithAFactorOnScoresAndQwen2MoeWithWindowsAlone) {
  Qwen2MoeConfig qwen;
  EXPECT_EQ(export_note(qwen), "");
  qwen.use_sliding_window = true;
  EXPECT_NE(export_note(qwen), "");
  EXPECT_NE(export_note(tiny_deepseek<DeepseekV2Config>()), "");
  EXPECT_EQ(export_note(DeepseekV2Config()), "");
  EXPECT_EQ(export_note(tiny_deepseek<DeepseekV3Config>()), "");
}

}  // namespace
}  // namespace sluice::models
