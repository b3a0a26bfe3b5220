// Mixtral's tensor table: HF's names on the right (transformers, models/mixtral; the same in 4.x and 5.x files).
#include "sluice/models/mixtral/config.h"

namespace sluice::models {

std::vector<TensorSpec> MixtralConfig::tensor_table() const {
  const std::int64_t h = hidden_size, q = num_attention_heads * head_size();
  std::vector<TensorSpec> table{whole(matrix("embedding.weight", {vocab_size_, h}), Shard::kVocabulary, "model.embed_tokens.weight")};
  for (std::int64_t layer = 0; layer < num_hidden_layers; ++layer) {
    const std::string ours = "layers." + std::to_string(layer) + ".", hf = "model.layers." + std::to_string(layer) + ".";
    table.push_back(whole(norm(ours + "input_norm.weight", h), Shard::kReplicated, hf + "input_layernorm.weight"));
    add_linear(table, ours + "attention.q_proj", hf + "self_attn.q_proj", q, h, Shard::kRows);
    add_kv_linear(table, ours + "attention.k_proj", hf + "self_attn.k_proj", {kv_heads(), head_size(), h});
    add_kv_linear(table, ours + "attention.v_proj", hf + "self_attn.v_proj", {kv_heads(), head_size(), h});
    add_linear(table, ours + "attention.o_proj", hf + "self_attn.o_proj", h, q, Shard::kColumns);
    table.push_back(whole(norm(ours + "post_attention_norm.weight", h), Shard::kReplicated, hf + "post_attention_layernorm.weight"));
    table.push_back(whole(router(ours + "router.weight", num_local_experts, h), Shard::kReplicated, hf + "block_sparse_moe.gate.weight"));
    add_experts(table, ours + "experts", hf + "block_sparse_moe.experts", {num_local_experts, intermediate_size, h}, {.gate = "w1", .up = "w3", .down = "w2"});
  }
  table.push_back(whole(norm("norm.weight", h), Shard::kReplicated, "model.norm.weight"));
  if (!tie_word_embeddings) table.push_back(whole(matrix("head.weight", {vocab_size_, h}), Shard::kVocabulary, "lm_head.weight"));
  return table;
}

}  // namespace sluice::models
