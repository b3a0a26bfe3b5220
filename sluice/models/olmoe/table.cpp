// OLMoE's tensor table: HF's names on the right (transformers, models/olmoe; the same in 4.x and 5.x files).
#include "sluice/models/olmoe/config.h"

namespace sluice::models {

std::vector<TensorSpec> OlmoeConfig::tensor_table() const {
  const std::int64_t h = hidden_size, q = num_attention_heads * head_size(), kv = kv_heads() * head_size();
  const Bias bias = attention_bias ? Bias::kAdded : Bias::kNone;
  std::vector<TensorSpec> table{whole(matrix("embedding.weight", {vocab_size_, h}), Shard::kVocabulary, "model.embed_tokens.weight")};
  for (std::int64_t layer = 0; layer < num_hidden_layers; ++layer) {
    const std::string ours = "layers." + std::to_string(layer) + ".", hf = "model.layers." + std::to_string(layer) + ".";
    table.push_back(whole(norm(ours + "input_norm.weight", h), Shard::kReplicated, hf + "input_layernorm.weight"));
    // Whole on every rank of a tensor split: the norms of queries and keys go over all heads.
    add_linear(table, ours + "attention.q_proj", hf + "self_attn.q_proj", q, h, Shard::kReplicated, bias);
    add_linear(table, ours + "attention.k_proj", hf + "self_attn.k_proj", kv, h, Shard::kReplicated, bias);
    add_linear(table, ours + "attention.v_proj", hf + "self_attn.v_proj", kv, h, Shard::kReplicated, bias);
    add_linear(table, ours + "attention.o_proj", hf + "self_attn.o_proj", h, q, Shard::kReplicated, bias);
    table.push_back(whole(norm(ours + "attention.q_norm.weight", q), Shard::kReplicated, hf + "self_attn.q_norm.weight"));
    table.push_back(whole(norm(ours + "attention.k_norm.weight", kv), Shard::kReplicated, hf + "self_attn.k_norm.weight"));
    table.push_back(whole(norm(ours + "post_attention_norm.weight", h), Shard::kReplicated, hf + "post_attention_layernorm.weight"));
    table.push_back(whole(router(ours + "router.weight", num_experts, h), Shard::kReplicated, hf + "mlp.gate.weight"));
    add_experts(table, ours + "experts", hf + "mlp.experts", {num_experts, intermediate_size, h});
  }
  table.push_back(whole(norm("norm.weight", h), Shard::kReplicated, "model.norm.weight"));
  if (!tie_word_embeddings) table.push_back(whole(matrix("head.weight", {vocab_size_, h}), Shard::kVocabulary, "lm_head.weight"));
  return table;
}

}  // namespace sluice::models
