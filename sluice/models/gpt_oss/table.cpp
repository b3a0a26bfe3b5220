// gpt-oss's tensor table: HF's names on the right (transformers, models/gpt_oss; the same in 4.x and 5.x files).
#include "sluice/models/gpt_oss/config.h"

namespace sluice::models {
namespace {

nn::ParameterSpec sinks(std::string name, std::int64_t heads) { return {std::move(name), {heads}, nn::Init::kNormal, nn::Keep::kFloat32, nn::Decay::kNo}; }

// HF keeps a layer's experts in one tensor of each kind, matrices [in, out]. Its gate and up columns alternate, and so do our rows.
void add_fused_experts(std::vector<TensorSpec>& table, const std::string& ours, const std::string& hf, const ExpertSizes& sizes) {
  const auto [experts, ffn, hidden] = sizes;
  table.push_back(whole(matrix(ours + ".gate_up.weight", {experts, 2 * ffn, hidden}), Shard::kExpertRows, hf + ".gate_up_proj", HfLayout::kTransposed));
  table.push_back(whole(bias(ours + ".gate_up.bias", {experts, 2 * ffn}), Shard::kExpertRows, hf + ".gate_up_proj_bias"));
  table.push_back(whole(matrix(ours + ".down.weight", {experts, hidden, ffn}), Shard::kExpertColumns, hf + ".down_proj", HfLayout::kTransposed));
  table.push_back(whole(bias(ours + ".down.bias", {experts, hidden}), Shard::kExpertsOnce, hf + ".down_proj_bias"));
}

}  // namespace

std::vector<TensorSpec> GptOssConfig::tensor_table() const {
  const std::int64_t h = hidden_size, q = num_attention_heads * head_size();
  const Bias attention = attention_bias ? Bias::kAdded : Bias::kNone;
  std::vector<TensorSpec> table{whole(matrix("embedding.weight", {vocab_size_, h}), Shard::kVocabulary, "model.embed_tokens.weight")};
  for (std::int64_t layer = 0; layer < num_hidden_layers; ++layer) {
    const std::string ours = "layers." + std::to_string(layer) + ".", hf = "model.layers." + std::to_string(layer) + ".";
    table.push_back(whole(norm(ours + "input_norm.weight", h), Shard::kReplicated, hf + "input_layernorm.weight"));
    add_linear(table, ours + "attention.q_proj", hf + "self_attn.q_proj", q, h, Shard::kRows, attention);
    add_kv_linear(table, ours + "attention.k_proj", hf + "self_attn.k_proj", {kv_heads(), head_size(), h}, attention);
    add_kv_linear(table, ours + "attention.v_proj", hf + "self_attn.v_proj", {kv_heads(), head_size(), h}, attention);
    add_linear(table, ours + "attention.o_proj", hf + "self_attn.o_proj", h, q, Shard::kColumns, attention);
    table.push_back(whole(sinks(ours + "attention.sinks", num_attention_heads), Shard::kRows, hf + "self_attn.sinks"));
    table.push_back(whole(norm(ours + "post_attention_norm.weight", h), Shard::kReplicated, hf + "post_attention_layernorm.weight"));
    table.push_back(whole(router(ours + "router.weight", num_local_experts, h), Shard::kReplicated, hf + "mlp.router.weight"));
    table.push_back(whole(bias(ours + "router.bias", {num_local_experts}), Shard::kReplicated, hf + "mlp.router.bias"));
    add_fused_experts(table, ours + "experts", hf + "mlp.experts", {num_local_experts, intermediate_size, h});
  }
  table.push_back(whole(norm("norm.weight", h), Shard::kReplicated, "model.norm.weight"));
  if (!tie_word_embeddings) table.push_back(whole(matrix("head.weight", {vocab_size_, h}), Shard::kVocabulary, "lm_head.weight"));
  return table;
}

}  // namespace sluice::models
