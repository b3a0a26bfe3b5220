// Mixtral's tensor table: HF's names on the right (transformers, models/mixtral; the same in 4.x and 5.x files).
#include "sluice/models/mixtral/config.h"

namespace sluice::models {
namespace {

using nn::Decay;
using nn::Init;
using nn::Keep;

nn::ParameterSpec matrix(std::string name, std::vector<std::int64_t> shape) { return {std::move(name), std::move(shape)}; }
nn::ParameterSpec norm(std::string name, std::int64_t width) { return {std::move(name), {width}, Init::kOnes, Keep::kFloat32, Decay::kNo}; }

// [experts, 2 * ffn, hidden]: w1 (gate) above w3 (up), expert after expert.
TensorSpec gate_up(const std::string& ours, const std::string& hf, std::int64_t experts, std::int64_t ffn, std::int64_t hidden) {
  TensorSpec spec{matrix(ours, {experts, 2 * ffn, hidden}), Shard::kExpertGateUp, {}};
  for (std::int64_t e = 0; e < experts; ++e) {
    const std::string expert = hf + std::to_string(e);
    spec.hf.push_back({expert + ".w1.weight", {ffn, hidden}, (2 * e) * ffn * hidden});
    spec.hf.push_back({expert + ".w3.weight", {ffn, hidden}, (2 * e + 1) * ffn * hidden});
  }
  return spec;
}

// [experts, hidden, ffn]: w2.
TensorSpec down(const std::string& ours, const std::string& hf, std::int64_t experts, std::int64_t ffn, std::int64_t hidden) {
  TensorSpec spec{matrix(ours, {experts, hidden, ffn}), Shard::kExpertColumns, {}};
  for (std::int64_t e = 0; e < experts; ++e) spec.hf.push_back({hf + std::to_string(e) + ".w2.weight", {hidden, ffn}, e * hidden * ffn});
  return spec;
}

}  // namespace

std::vector<TensorSpec> MixtralConfig::tensor_table() const {
  const std::int64_t h = hidden_size, q = num_attention_heads * head_size(), kv = num_key_value_heads * head_size();
  std::vector<TensorSpec> table{whole(matrix("embedding.weight", {vocab_size_, h}), Shard::kRows, "model.embed_tokens.weight")};
  for (std::int64_t layer = 0; layer < num_hidden_layers; ++layer) {
    const std::string ours = "layers." + std::to_string(layer) + ".", hf = "model.layers." + std::to_string(layer) + ".";
    table.push_back(whole(norm(ours + "input_norm.weight", h), Shard::kReplicated, hf + "input_layernorm.weight"));
    table.push_back(whole(matrix(ours + "attention.q_proj.weight", {q, h}), Shard::kRows, hf + "self_attn.q_proj.weight"));
    table.push_back(whole(matrix(ours + "attention.k_proj.weight", {kv, h}), Shard::kRows, hf + "self_attn.k_proj.weight"));
    table.push_back(whole(matrix(ours + "attention.v_proj.weight", {kv, h}), Shard::kRows, hf + "self_attn.v_proj.weight"));
    table.push_back(whole(matrix(ours + "attention.o_proj.weight", {h, q}), Shard::kColumns, hf + "self_attn.o_proj.weight"));
    table.push_back(whole(norm(ours + "post_attention_norm.weight", h), Shard::kReplicated, hf + "post_attention_layernorm.weight"));
    table.push_back(whole({ours + "router.weight", {num_local_experts, h}, Init::kNormal, Keep::kFloat32}, Shard::kReplicated, hf + "block_sparse_moe.gate.weight"));
    table.push_back(gate_up(ours + "experts.gate_up.weight", hf + "block_sparse_moe.experts.", num_local_experts, intermediate_size, h));
    table.push_back(down(ours + "experts.down.weight", hf + "block_sparse_moe.experts.", num_local_experts, intermediate_size, h));
  }
  table.push_back(whole(norm("norm.weight", h), Shard::kReplicated, "model.norm.weight"));
  if (!tie_word_embeddings) table.push_back(whole(matrix("head.weight", {vocab_size_, h}), Shard::kRows, "lm_head.weight"));
  return table;
}

}  // namespace sluice::models
