// The tensor tables of Qwen2-MoE and Qwen3-MoE: HF's names on the right (transformers, models/qwen2_moe and qwen3_moe; the same in 4.x and
// 5.x files).
#include "sluice/models/qwen_moe/config.h"

namespace sluice::models {

std::vector<TensorSpec> Qwen2MoeConfig::tensor_table() const {
  const std::int64_t h = hidden_size, q = num_attention_heads * head_size();
  const Bias bias = qkv_bias ? Bias::kAdded : Bias::kNone;
  std::vector<TensorSpec> table{whole(matrix("embedding.weight", {vocab_size_, h}), Shard::kVocabulary, "model.embed_tokens.weight")};
  for (std::int64_t layer = 0; layer < num_hidden_layers; ++layer) {
    const std::string ours = "layers." + std::to_string(layer) + ".", hf = "model.layers." + std::to_string(layer) + ".";
    table.push_back(whole(norm(ours + "input_norm.weight", h), Shard::kReplicated, hf + "input_layernorm.weight"));
    add_linear(table, ours + "attention.q_proj", hf + "self_attn.q_proj", q, h, Shard::kRows, bias);
    add_kv_linear(table, ours + "attention.k_proj", hf + "self_attn.k_proj", {kv_heads(), head_size(), h}, bias);
    add_kv_linear(table, ours + "attention.v_proj", hf + "self_attn.v_proj", {kv_heads(), head_size(), h}, bias);
    add_linear(table, ours + "attention.o_proj", hf + "self_attn.o_proj", h, q, Shard::kColumns);
    table.push_back(whole(norm(ours + "post_attention_norm.weight", h), Shard::kReplicated, hf + "post_attention_layernorm.weight"));
    add_feed_forward(table, ours, hf, layer, h);
  }
  table.push_back(whole(norm("norm.weight", h), Shard::kReplicated, "model.norm.weight"));
  if (!tie_word_embeddings) table.push_back(whole(matrix("head.weight", {vocab_size_, h}), Shard::kVocabulary, "lm_head.weight"));
  return table;
}

std::vector<TensorSpec> Qwen3MoeConfig::tensor_table() const {
  const std::int64_t h = hidden_size, q = num_attention_heads * head_size();
  const Bias bias = attention_bias ? Bias::kAdded : Bias::kNone;
  std::vector<TensorSpec> table{whole(matrix("embedding.weight", {vocab_size_, h}), Shard::kVocabulary, "model.embed_tokens.weight")};
  for (std::int64_t layer = 0; layer < num_hidden_layers; ++layer) {
    const std::string ours = "layers." + std::to_string(layer) + ".", hf = "model.layers." + std::to_string(layer) + ".";
    table.push_back(whole(norm(ours + "input_norm.weight", h), Shard::kReplicated, hf + "input_layernorm.weight"));
    add_linear(table, ours + "attention.q_proj", hf + "self_attn.q_proj", q, h, Shard::kRows, bias);
    add_kv_linear(table, ours + "attention.k_proj", hf + "self_attn.k_proj", {kv_heads(), head_size(), h}, bias);
    add_kv_linear(table, ours + "attention.v_proj", hf + "self_attn.v_proj", {kv_heads(), head_size(), h}, bias);
    add_linear(table, ours + "attention.o_proj", hf + "self_attn.o_proj", h, q, Shard::kColumns, bias);
    table.push_back(whole(norm(ours + "attention.q_norm.weight", head_size()), Shard::kReplicated, hf + "self_attn.q_norm.weight"));
    table.push_back(whole(norm(ours + "attention.k_norm.weight", head_size()), Shard::kReplicated, hf + "self_attn.k_norm.weight"));
    table.push_back(whole(norm(ours + "post_attention_norm.weight", h), Shard::kReplicated, hf + "post_attention_layernorm.weight"));
    add_feed_forward(table, ours, hf, layer, h);
  }
  table.push_back(whole(norm("norm.weight", h), Shard::kReplicated, "model.norm.weight"));
  if (!tie_word_embeddings) table.push_back(whole(matrix("head.weight", {vocab_size_, h}), Shard::kVocabulary, "lm_head.weight"));
  return table;
}

}  // namespace sluice::models
