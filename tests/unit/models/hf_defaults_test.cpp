#include <gtest/gtest.h>

#include <set>

#include "sluice/base/error.h"
#include "sluice/models/registry.h"
#include "tests/unit/models/config_checks.h"

namespace sluice::models {
namespace {

// What `Config()` of transformers 5.23 holds, and the keys whose null it also takes: all others raise in its constructor or in the model's.
struct HfClass {
  const char* model_type;
  std::set<std::string> nullable;
  const char* defaults;
};

const std::vector<HfClass>& hf_classes() {
  static const std::vector<HfClass> classes{
    {"mixtral", {"head_dim", "sliding_window"},
     R"({"bos_token_id": 1, "eos_token_id": 2, "head_dim": null, "hidden_act": "silu", "hidden_size": 4096, "intermediate_size": 14336,
        "max_position_embeddings": 131072, "num_attention_heads": 32, "num_experts_per_tok": 2, "num_hidden_layers": 32, "num_key_value_heads": 8,
        "num_local_experts": 8, "pad_token_id": null, "rms_norm_eps": 1e-05, "router_aux_loss_coef": 0.001, "router_jitter_noise": 0.0,
        "sliding_window": null, "tie_word_embeddings": false, "vocab_size": 32000, "rope_theta": 1000000.0})"},
    {"qwen2_moe", {"mlp_only_layers", "sliding_window"},
     R"({"bos_token_id": null, "decoder_sparse_step": 1, "eos_token_id": null, "hidden_act": "silu", "hidden_size": 2048,
        "intermediate_size": 5632, "max_position_embeddings": 32768, "max_window_layers": 28, "mlp_only_layers": [],
        "moe_intermediate_size": 1408, "norm_topk_prob": false, "num_attention_heads": 16, "num_experts": 60, "num_experts_per_tok": 4,
        "num_hidden_layers": 24, "num_key_value_heads": 16, "pad_token_id": null, "qkv_bias": true, "rms_norm_eps": 1e-06,
        "router_aux_loss_coef": 0.001, "shared_expert_intermediate_size": 5632, "sliding_window": null, "tie_word_embeddings": false,
        "use_sliding_window": false, "vocab_size": 151936, "rope_theta": 10000.0})"},
    {"qwen3_moe", {"mlp_only_layers", "sliding_window"},
     R"({"attention_bias": false, "bos_token_id": null, "decoder_sparse_step": 1, "eos_token_id": null, "hidden_act": "silu", "hidden_size": 2048,
        "intermediate_size": 6144, "max_position_embeddings": 32768, "mlp_only_layers": [], "moe_intermediate_size": 768, "norm_topk_prob": false,
        "num_attention_heads": 32, "num_experts_per_tok": 8, "num_hidden_layers": 24, "num_key_value_heads": 4, "num_local_experts": 128,
        "pad_token_id": null, "rms_norm_eps": 1e-06, "router_aux_loss_coef": 0.001, "sliding_window": null, "tie_word_embeddings": false,
        "use_sliding_window": false, "vocab_size": 151936, "rope_theta": 10000.0})"},
    {"qwen3_next", {"mlp_only_layers"},
     R"({"attention_bias": false, "bos_token_id": null, "decoder_sparse_step": 1, "eos_token_id": null, "head_dim": 256, "hidden_act": "silu",
        "hidden_size": 2048, "intermediate_size": 5632, "linear_conv_kernel_dim": 4, "linear_key_head_dim": 128, "linear_num_key_heads": 16,
        "linear_num_value_heads": 32, "linear_value_head_dim": 128, "max_position_embeddings": 32768, "mlp_only_layers": [],
        "moe_intermediate_size": 512, "norm_topk_prob": true, "num_attention_heads": 16, "num_experts": 512, "num_experts_per_tok": 10,
        "num_hidden_layers": 48, "num_key_value_heads": 2, "pad_token_id": null, "rms_norm_eps": 1e-06, "router_aux_loss_coef": 0.001,
        "shared_expert_intermediate_size": 512, "tie_word_embeddings": false, "vocab_size": 151936, "rope_theta": 10000.0,
        "partial_rotary_factor": 0.25})"},
    {"olmoe", {"num_key_value_heads", "clip_qkv"},
     R"({"attention_bias": false, "bos_token_id": null, "clip_qkv": null, "eos_token_id": 50279, "hidden_act": "silu", "hidden_size": 2048,
        "intermediate_size": 2048, "max_position_embeddings": 4096, "norm_topk_prob": false, "num_attention_heads": 16, "num_experts": 64,
        "num_experts_per_tok": 8, "num_hidden_layers": 16, "num_key_value_heads": 16, "pad_token_id": 1, "rms_norm_eps": 1e-05,
        "router_aux_loss_coef": 0.01, "tie_word_embeddings": false, "vocab_size": 50304, "rope_theta": 10000.0})"},
    {"glm4_moe", {},
     R"({"attention_bias": false, "bos_token_id": null, "eos_token_id": null, "first_k_dense_replace": 1, "hidden_act": "silu",
        "hidden_size": 4096, "intermediate_size": 10944, "max_position_embeddings": 131072, "moe_intermediate_size": 1408, "n_group": 1,
        "n_routed_experts": 128, "n_shared_experts": 1, "norm_topk_prob": true, "num_attention_heads": 96, "num_experts_per_tok": 8,
        "num_hidden_layers": 46, "num_key_value_heads": 8, "pad_token_id": null, "rms_norm_eps": 1e-05, "routed_scaling_factor": 1.0,
        "tie_word_embeddings": false, "topk_group": 1, "use_qk_norm": false, "vocab_size": 151552, "rope_theta": 10000.0,
        "partial_rotary_factor": 0.5})"},
    {"deepseek_v2", {"num_key_value_heads", "head_dim", "q_lora_rank", "norm_topk_prob", "n_group", "topk_group"},
     R"({"attention_bias": false, "bos_token_id": 1, "eos_token_id": 2, "first_k_dense_replace": 0, "head_dim": 64, "hidden_act": "silu",
        "hidden_size": 4096, "intermediate_size": 11008, "kv_lora_rank": 512, "max_position_embeddings": 2048, "moe_intermediate_size": 1407,
        "n_group": null, "n_routed_experts": 64, "n_shared_experts": 2, "norm_topk_prob": false, "num_attention_heads": 32,
        "num_hidden_layers": 32, "num_key_value_heads": 32, "pad_token_id": null, "q_lora_rank": 1536, "qk_nope_head_dim": 128,
        "qk_rope_head_dim": 64, "rms_norm_eps": 1e-06, "routed_scaling_factor": 1.0, "tie_word_embeddings": false, "topk_group": null,
        "topk_method": "greedy", "v_head_dim": 128, "vocab_size": 102400, "rope_theta": 10000.0})"},
    {"deepseek_v3", {"num_key_value_heads", "head_dim", "q_lora_rank", "norm_topk_prob", "rope_interleave"},
     R"({"attention_bias": false, "bos_token_id": 0, "eos_token_id": 1, "first_k_dense_replace": 3, "head_dim": 64, "hidden_act": "silu",
        "hidden_size": 7168, "intermediate_size": 18432, "kv_lora_rank": 512, "max_position_embeddings": 4096, "moe_intermediate_size": 2048,
        "n_group": 8, "n_routed_experts": 256, "n_shared_experts": 1, "norm_topk_prob": true, "num_attention_heads": 128,
        "num_experts_per_tok": 8, "num_hidden_layers": 61, "num_key_value_heads": 128, "pad_token_id": null, "q_lora_rank": 1536,
        "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "rms_norm_eps": 1e-06, "rope_interleave": true, "routed_scaling_factor": 2.5,
        "tie_word_embeddings": false, "topk_group": 4, "v_head_dim": 128, "vocab_size": 129280, "rope_theta": 10000.0})"},
    {"gpt_oss", {},
     R"({"attention_bias": true, "bos_token_id": null, "eos_token_id": null, "head_dim": 64, "hidden_act": "silu", "hidden_size": 2880,
        "intermediate_size": 2880, "max_position_embeddings": 131072, "num_attention_heads": 64, "num_experts_per_tok": 4,
        "num_hidden_layers": 36, "num_key_value_heads": 8, "num_local_experts": 128, "pad_token_id": null, "rms_norm_eps": 1e-05,
        "router_aux_loss_coef": 0.001, "swiglu_alpha": 1.702, "swiglu_limit": 7.0, "tie_word_embeddings": false, "vocab_size": 201088,
        "rope_theta": 150000.0, "sliding_window": 128})"},
    {"llama", {"num_key_value_heads", "head_dim"},
     R"({"attention_bias": false, "bos_token_id": 1, "eos_token_id": 2, "head_dim": 128, "hidden_act": "silu", "hidden_size": 4096,
        "intermediate_size": 11008, "max_position_embeddings": 2048, "mlp_bias": false, "num_attention_heads": 32, "num_hidden_layers": 32,
        "num_key_value_heads": 32, "pad_token_id": null, "rms_norm_eps": 1e-06, "tie_word_embeddings": false, "vocab_size": 32000,
        "rope_theta": 10000.0})"},
    {"mistral", {"head_dim", "sliding_window"},
     R"({"bos_token_id": 1, "eos_token_id": 2, "head_dim": 128, "hidden_act": "silu", "hidden_size": 4096, "intermediate_size": 14336,
        "max_position_embeddings": 131072, "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8, "pad_token_id": null,
        "rms_norm_eps": 1e-06, "sliding_window": 4096, "tie_word_embeddings": false, "vocab_size": 32000, "rope_theta": 10000.0})"},
    {"qwen2", {"num_key_value_heads", "sliding_window"},
     R"({"bos_token_id": null, "eos_token_id": null, "hidden_act": "silu", "hidden_size": 4096, "intermediate_size": 22016,
        "max_position_embeddings": 32768, "max_window_layers": 28, "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 32,
        "pad_token_id": null, "rms_norm_eps": 1e-06, "sliding_window": null, "tie_word_embeddings": false, "use_sliding_window": false,
        "vocab_size": 151936, "rope_theta": 10000.0})"},
    {"qwen3", {"num_key_value_heads", "sliding_window"},
     R"({"attention_bias": false, "bos_token_id": null, "eos_token_id": null, "head_dim": 128, "hidden_act": "silu", "hidden_size": 4096,
        "intermediate_size": 22016, "max_position_embeddings": 32768, "max_window_layers": 28, "num_attention_heads": 32, "num_hidden_layers": 32,
        "num_key_value_heads": 32, "pad_token_id": null, "rms_norm_eps": 1e-06, "sliding_window": null, "tie_word_embeddings": false,
        "use_sliding_window": false, "vocab_size": 151936, "rope_theta": 10000.0})"},
    {"gemma", {},
     R"({"attention_bias": false, "bos_token_id": 2, "eos_token_id": 1, "head_dim": 256, "hidden_act": "gelu_pytorch_tanh", "hidden_size": 3072,
        "intermediate_size": 24576, "max_position_embeddings": 8192, "num_attention_heads": 16, "num_hidden_layers": 28,
        "num_key_value_heads": 16, "pad_token_id": 0, "rms_norm_eps": 1e-06, "tie_word_embeddings": true, "vocab_size": 256000,
        "rope_theta": 10000.0})"},
    {"gemma2", {"attn_logit_softcapping", "final_logit_softcapping"},
     R"({"attention_bias": false, "attn_logit_softcapping": 50.0, "bos_token_id": 2, "eos_token_id": 1, "final_logit_softcapping": 30.0,
        "head_dim": 256, "hidden_activation": "gelu_pytorch_tanh", "hidden_size": 2304, "intermediate_size": 9216,
        "max_position_embeddings": 8192, "num_attention_heads": 8, "num_hidden_layers": 26, "num_key_value_heads": 4, "pad_token_id": 0,
        "query_pre_attn_scalar": 256, "rms_norm_eps": 1e-06, "sliding_window": 4096, "tie_word_embeddings": true, "vocab_size": 256000,
        "rope_theta": 10000.0})"},
    {"gpt2", {"n_inner"},
     R"({"activation_function": "gelu_new", "bos_token_id": 50256, "eos_token_id": 50256, "layer_norm_epsilon": 1e-05, "n_embd": 768, "n_head": 12,
        "n_inner": null, "n_layer": 12, "n_positions": 1024, "pad_token_id": null, "scale_attn_by_inverse_layer_idx": false,
        "scale_attn_weights": true, "tie_word_embeddings": true, "vocab_size": 50257})"},
    {"gpt_neox", {},
     R"({"attention_bias": true, "bos_token_id": 0, "eos_token_id": 2, "hidden_act": "gelu", "hidden_size": 6144, "intermediate_size": 24576,
        "layer_norm_eps": 1e-05, "max_position_embeddings": 2048, "num_attention_heads": 64, "num_hidden_layers": 44, "pad_token_id": null,
        "tie_word_embeddings": false, "use_parallel_residual": true, "vocab_size": 50432, "rotary_emb_base": 10000.0, "rotary_pct": 0.25})"},
  };
  return classes;
}

// DeepSeek-V2's class has no default for the first, and GLM-4.5's has sizes that need the second.
Json given(const HfClass& hf) {
  if (std::string(hf.model_type) == "deepseek_v2") return {{"num_experts_per_tok", 6}};
  return std::string(hf.model_type) == "glm4_moe" ? Json{{"head_dim", 128}} : Json::object();
}

TEST(HfConfig, AKeyThatConfigJsonLeavesOutHasTheDefaultOfHfsClass) {
  for (const HfClass& hf : hf_classes()) {
    const auto config = find_architecture(hf.model_type, "test").make_config();
    config->read_hf(given(hf), "config.json");
    const Json written = as_hf(*config), defaults = Json::parse(hf.defaults);
    for (const auto& [key, value] : defaults.items()) {
      ASSERT_TRUE(written.contains(key)) << hf.model_type << " " << key;
      const bool quotient = key == "head_dim" && value.is_null();  // which we write out
      EXPECT_EQ(written[key], quotient ? Json(4096 / 32) : value) << hf.model_type << " " << key;
    }
  }
}

TEST(HfConfig, NullIsTakenWhereHfsClassTakesItAndIsAnErrorThatNamesTheKeyElsewhere) {
  for (const HfClass& hf : hf_classes()) {
    const Json defaults = Json::parse(hf.defaults);
    for (const auto& [key, value] : defaults.items()) {
      Json file = given(hf);
      file[key] = nullptr;
      std::string complaint;
      try {
        const auto config = find_architecture(hf.model_type, "test").make_config();
        config->read_hf(file, "config.json");
        complaint = complaints(*config);
      } catch (const Error& error) {
        complaint = error.what();
      }
      const bool taken = hf.nullable.contains(key) || key.ends_with("token_id");
      EXPECT_EQ(complaint.empty(), taken) << hf.model_type << " " << key << " " << complaint;
      EXPECT_EQ(complaint.find(key) != std::string::npos, !taken) << hf.model_type << " " << key;
    }
  }
}

TEST(HfConfig, TheExpertsATokenMeetsHaveNoDefaultInDeepseekV2) {
  EXPECT_THROW(find_architecture("deepseek_v2", "test").make_config()->read_hf(Json::object(), "config.json"), Error);
}

}  // namespace
}  // namespace sluice::models
