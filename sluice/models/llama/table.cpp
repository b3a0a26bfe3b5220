// The tensor table of the Llama decoder: HF's names on the right (transformers, models/llama, mistral, qwen2, qwen3).
#include "sluice/models/cost.h"
#include "sluice/models/decoder_config.h"
#include "sluice/models/llama/decoder.h"

namespace sluice::models {
namespace {

void add_layer(std::vector<TensorSpec>& table, const LlamaSizes& s, const std::string& ours, const std::string& hf) {
  const std::int64_t h = s.hidden, q = s.heads * s.head_dim;
  table.push_back(whole(norm(ours + "input_norm.weight", h), Shard::kReplicated, hf + "input_layernorm.weight"));
  add_linear(table, ours + "attention.q_proj", hf + "self_attn.q_proj", q, h, Shard::kRows, s.qkv_bias);
  add_kv_linear(table, ours + "attention.k_proj", hf + "self_attn.k_proj", {s.kv_heads, s.head_dim, h}, s.qkv_bias);
  add_kv_linear(table, ours + "attention.v_proj", hf + "self_attn.v_proj", {s.kv_heads, s.head_dim, h}, s.qkv_bias);
  if (s.head_norm == HeadNorm::kQueryAndKey) {
    table.push_back(whole(norm(ours + "attention.q_norm.weight", s.head_dim), Shard::kReplicated, hf + "self_attn.q_norm.weight"));
    table.push_back(whole(norm(ours + "attention.k_norm.weight", s.head_dim), Shard::kReplicated, hf + "self_attn.k_norm.weight"));
  }
  add_linear(table, ours + "attention.o_proj", hf + "self_attn.o_proj", h, q, Shard::kColumns, s.o_bias);
  table.push_back(whole(norm(ours + "post_attention_norm.weight", h), Shard::kReplicated, hf + "post_attention_layernorm.weight"));
  add_linear(table, ours + "mlp.gate_proj", hf + "mlp.gate_proj", s.ffn, h, Shard::kRows, s.mlp_bias);
  add_linear(table, ours + "mlp.up_proj", hf + "mlp.up_proj", s.ffn, h, Shard::kRows, s.mlp_bias);
  add_linear(table, ours + "mlp.down_proj", hf + "mlp.down_proj", h, s.ffn, Shard::kColumns, s.mlp_bias);
}

}  // namespace

std::vector<TensorSpec> llama_table(const LlamaSizes& s) {
  std::vector<TensorSpec> table{whole(matrix("embedding.weight", {s.vocab, s.hidden}), Shard::kVocabulary, "model.embed_tokens.weight")};
  for (std::size_t layer = 0; layer < s.windows.size(); ++layer) {
    add_layer(table, s, "layers." + std::to_string(layer) + ".", "model.layers." + std::to_string(layer) + ".");
  }
  table.push_back(whole(norm("norm.weight", s.hidden), Shard::kReplicated, "model.norm.weight"));
  if (!s.tied_head) table.push_back(whole(matrix("head.weight", {s.vocab, s.hidden}), Shard::kVocabulary, "lm_head.weight"));
  return table;
}

Cost llama_cost(const LlamaSizes& s, std::int64_t seq) {
  const auto layers = static_cast<std::int64_t>(s.windows.size());
  const std::int64_t width = layers * s.heads * s.head_dim;
  return cost_of(llama_table(s), {}, {width, width, 2 * layers * s.kv_heads * s.head_dim}, seq);
}

void check_llama(const LlamaSizes& s, Violations& violations) {
  check_parameter_count(3.0 * static_cast<double>(s.windows.size()) * static_cast<double>(s.hidden) * static_cast<double>(s.ffn), violations);
}

}  // namespace sluice::models
