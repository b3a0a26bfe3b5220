#include <gtest/gtest.h>

#include "sluice/base/error.h"
#include "sluice/models/gpt_oss/config.h"
#include "tests/unit/models/cached_forward.h"
#include "tests/unit/models/config_checks.h"

namespace sluice::models {
namespace {

GptOssConfig tiny() {
  GptOssConfig config;
  config.vocab_size_ = 61, config.hidden_size = 20, config.num_hidden_layers = 3, config.num_attention_heads = 4, config.num_key_value_heads = 1, config.head_dim = 6;
  config.max_position_embeddings = 64, config.intermediate_size = 10, config.num_local_experts = 4, config.num_experts_per_tok = 2, config.sliding_window = 5;
  config.rope_scaling.original_max_position_embeddings = 16, config.rope_scaling.factor = 4;
  return config;
}

TEST(GptOss, HasItsPublishedSizes) {
  GptOssConfig config;
  EXPECT_EQ(config.cost(1).parameters, 116'829'156'672);  // gpt-oss-120b
  config.num_hidden_layers = 24, config.num_local_experts = 32;
  EXPECT_EQ(config.cost(1).parameters, 20'914'757'184);  // gpt-oss-20b
}

TEST(GptOss, TheCacheGivesWhatWholePassesGiveBeyondTheWindowToo) {
  auto one_expert = tiny();
  one_expert.num_experts_per_tok = 1, one_expert.num_hidden_layers = 1, one_expert.tie_word_embeddings = true;
  auto all_experts = tiny();
  all_experts.num_experts_per_tok = 4, all_experts.layer_types = {"full_attention", "full_attention", "sliding_attention"};
  auto no_bias = tiny();
  no_bias.attention_bias = false;
  for (const GptOssConfig& config : {tiny(), one_expert, all_experts, no_bias}) {
    ASSERT_EQ(complaints(config), "");
    const RandomModel model(config);
    const at::Tensor ids = random_ids(2, 18, 61);
    for (const std::int64_t prompt : {1, 4, 11, 18}) EXPECT_LT(largest_difference(model.logits(ids), model.cached_logits(ids, prompt)), 2e-5) << prompt;
  }
}

TEST(GptOss, WindowsFollowTheLayersTypes) {
  GptOssConfig config = tiny();
  EXPECT_EQ(config.window(0), 5);
  EXPECT_EQ(config.window(1), 0);
  config.layer_types = {"full_attention", "sliding_attention", "sliding_attention"};
  EXPECT_EQ(config.window(0), 0);
  EXPECT_EQ(config.window(2), 5);
  EXPECT_EQ(as_hf(tiny())["layer_types"], Json({"sliding_attention", "full_attention", "sliding_attention"}));
}

TEST(GptOss, WhatItDoesNotComputeIsAnErrorThatNamesTheKey) {
  for (const auto& [key, value] : std::vector<std::pair<const char*, Json>>{{"swiglu_limit", 10.0}, {"swiglu_alpha", 1.5}, {"hidden_act", "gelu"}}) {
    Json file = as_hf(tiny());
    file[key] = value;
    try {
      GptOssConfig().read_hf(file, "config.json");
      FAIL() << key;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(key), std::string::npos);
    }
  }
}


TEST(GptOss, ImpossibleSizesAreNamed) {
  GptOssConfig config = tiny();
  config.layer_types = {"sliding_attention"};
  EXPECT_NE(complaints(config).find("model.layer_types"), std::string::npos);
  config.layer_types = {"sliding_attention", "full_attention", "chunked_attention"};
  EXPECT_NE(complaints(config).find("chunked_attention"), std::string::npos);
  config = tiny();
  config.sliding_window = 0;
  EXPECT_NE(complaints(config).find("model.sliding_window"), std::string::npos);
}

}  // namespace
}  // namespace sluice::models
