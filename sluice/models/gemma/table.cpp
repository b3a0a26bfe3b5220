// The tensor table of Gemma and Gemma 2: HF's names on the right (transformers, models/gemma and gemma2).
#include "sluice/models/cost.h"
#include "sluice/models/decoder_config.h"
#include "sluice/models/gemma/decoder.h"

namespace sluice::models {
namespace {

void add_layer(std::vector<TensorSpec>& table, const GemmaSizes& s, const std::string& ours, const std::string& hf) {
  const std::int64_t h = s.hidden, q = s.heads * s.head_dim;
  const auto add_norm = [&](const std::string& name, const std::string& hf_name) {
    table.push_back(whole(norm(ours + name + ".weight", h, nn::Init::kZeros), Shard::kReplicated, hf + hf_name + ".weight"));
  };
  add_norm("input_norm", "input_layernorm");
  add_linear(table, ours + "attention.q_proj", hf + "self_attn.q_proj", q, h, Shard::kRows, s.attention_bias);
  add_kv_linear(table, ours + "attention.k_proj", hf + "self_attn.k_proj", {s.kv_heads, s.head_dim, h}, s.attention_bias);
  add_kv_linear(table, ours + "attention.v_proj", hf + "self_attn.v_proj", {s.kv_heads, s.head_dim, h}, s.attention_bias);
  add_linear(table, ours + "attention.o_proj", hf + "self_attn.o_proj", h, q, Shard::kColumns, s.attention_bias);
  add_norm("post_attention_norm", "post_attention_layernorm");
  if (s.block == GemmaBlockKind::kFourNorms) {
    add_norm("pre_feedforward_norm", "pre_feedforward_layernorm");
    add_norm("post_feedforward_norm", "post_feedforward_layernorm");
  }
  add_gated_mlp(table, ours + "mlp", hf + "mlp", s.ffn, h);
}

}  // namespace

std::vector<TensorSpec> gemma_table(const GemmaSizes& s) {
  std::vector<TensorSpec> table{whole(matrix("embedding.weight", {s.vocab, s.hidden}), Shard::kVocabulary, "model.embed_tokens.weight")};
  for (std::size_t layer = 0; layer < s.attention.size(); ++layer) {
    add_layer(table, s, "layers." + std::to_string(layer) + ".", "model.layers." + std::to_string(layer) + ".");
  }
  table.push_back(whole(norm("norm.weight", s.hidden, nn::Init::kZeros), Shard::kReplicated, "model.norm.weight"));
  if (!s.tied_head) table.push_back(whole(matrix("head.weight", {s.vocab, s.hidden}), Shard::kVocabulary, "lm_head.weight"));
  return table;
}

Cost gemma_cost(const GemmaSizes& s, std::int64_t seq) {
  const auto layers = static_cast<std::int64_t>(s.attention.size());
  const std::int64_t width = layers * s.heads * s.head_dim;
  return cost_of(gemma_table(s), {}, {width, width, 2 * layers * s.kv_heads * s.head_dim}, seq);
}

void check_gemma(const GemmaSizes& s, Violations& violations) {
  check_parameter_count(3.0 * static_cast<double>(s.attention.size()) * static_cast<double>(s.hidden) * static_cast<double>(s.ffn), violations);
}

}  // namespace sluice::models
