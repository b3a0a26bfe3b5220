// GLM-4.5's tensor table: HF's names on the right (transformers, models/glm4_moe; the same in 4.x and 5.x files).
#include "sluice/models/glm4_moe/config.h"
#include "sluice/models/multi_token.h"

namespace sluice::models {
namespace {

// A router's correction bias: no gradient moves it, and float32 in every file, where its steps of 1e-3 would vanish in bf16.
nn::ParameterSpec correction_bias(std::string name, std::int64_t experts) {
  return {std::move(name), {experts}, nn::Init::kZeros, nn::Keep::kFloat32InFiles, nn::Decay::kNo, nn::Update::kRule};
}

void add_attention(std::vector<TensorSpec>& table, const Glm4MoeConfig& config, const std::string& ours, const std::string& hf) {
  const std::int64_t h = config.hidden_size, q = config.num_attention_heads * config.head_size();
  const Bias bias = config.attention_bias ? Bias::kAdded : Bias::kNone;
  add_linear(table, ours + ".q_proj", hf + ".q_proj", q, h, Shard::kRows, bias);
  add_kv_linear(table, ours + ".k_proj", hf + ".k_proj", {config.kv_heads(), config.head_size(), h}, bias);
  add_kv_linear(table, ours + ".v_proj", hf + ".v_proj", {config.kv_heads(), config.head_size(), h}, bias);
  add_linear(table, ours + ".o_proj", hf + ".o_proj", h, q, Shard::kColumns);
  if (!config.use_qk_norm) return;
  table.push_back(whole(norm(ours + ".q_norm.weight", config.head_size()), Shard::kReplicated, hf + ".q_norm.weight"));
  table.push_back(whole(norm(ours + ".k_norm.weight", config.head_size()), Shard::kReplicated, hf + ".k_norm.weight"));
}

void add_mixture(std::vector<TensorSpec>& table, const Glm4MoeConfig& config, const std::string& ours, const std::string& hf) {
  const std::int64_t experts = config.n_routed_experts, h = config.hidden_size, ffn = config.moe_intermediate_size;
  table.push_back(whole(router(ours + "router.weight", experts, h), Shard::kReplicated, hf + "mlp.gate.weight"));
  table.push_back(whole(correction_bias(ours + "router.correction_bias", experts), Shard::kReplicated, hf + "mlp.gate.e_score_correction_bias"));
  add_experts(table, ours + "experts", hf + "mlp.experts", {experts, ffn, h});
  add_gated_mlp(table, ours + "shared_expert", hf + "mlp.shared_experts", ffn * config.n_shared_experts, h);
}

void add_block(std::vector<TensorSpec>& table, const Glm4MoeConfig& config, const std::string& ours, const std::string& hf, std::int64_t layer) {
  const std::int64_t h = config.hidden_size;
  table.push_back(whole(norm(ours + "input_norm.weight", h), Shard::kReplicated, hf + "input_layernorm.weight"));
  add_attention(table, config, ours + "attention", hf + "self_attn");
  table.push_back(whole(norm(ours + "post_attention_norm.weight", h), Shard::kReplicated, hf + "post_attention_layernorm.weight"));
  if (layer < config.first_k_dense_replace) add_gated_mlp(table, ours + "mlp", hf + "mlp", config.intermediate_size, h);
  else add_mixture(table, config, ours, hf);
}

}  // namespace

std::vector<TensorSpec> Glm4MoeConfig::tensor_table() const {
  const std::int64_t h = hidden_size;
  std::vector<TensorSpec> table{whole(matrix("embedding.weight", {vocab_size_, h}), Shard::kVocabulary, "model.embed_tokens.weight")};
  for (std::int64_t layer = 0; layer < num_hidden_layers; ++layer) {
    add_block(table, *this, "layers." + std::to_string(layer) + ".", "model.layers." + std::to_string(layer) + ".", layer);
  }
  table.push_back(whole(norm("norm.weight", h), Shard::kReplicated, "model.norm.weight"));
  if (!tie_word_embeddings) table.push_back(whole(matrix("head.weight", {vocab_size_, h}), Shard::kVocabulary, "lm_head.weight"));
  if (num_nextn_predict_layers > 0) {
    add_predictor(table, num_hidden_layers, h);
    add_block(table, *this, kPredictor, hf_predictor(num_hidden_layers), num_hidden_layers);
  }
  return table;
}

}  // namespace sluice::models
