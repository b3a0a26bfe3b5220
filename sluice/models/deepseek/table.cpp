// DeepSeek's tensor table: HF's names on the right (transformers, models/deepseek_v2 and deepseek_v3; the same in 4.x and 5.x files).
#include "sluice/models/deepseek/config.h"
#include "sluice/models/multi_token.h"

namespace sluice::models {
namespace {

// A router's correction bias: no gradient moves it, and float32 in every file, where its steps of 1e-3 would vanish in bf16.
nn::ParameterSpec correction_bias(std::string name, std::int64_t experts) {
  return {std::move(name), {experts}, nn::Init::kZeros, nn::Keep::kFloat32InFiles, nn::Decay::kNo, nn::Update::kRule};
}

template <class Config>
void add_mixture(std::vector<TensorSpec>& table, const Config& config, const std::string& ours, const std::string& hf) {
  const std::int64_t experts = config.n_routed_experts, h = config.hidden_size, ffn = config.moe_intermediate_size;
  table.push_back(whole(router(ours + "router.weight", experts, h), Shard::kReplicated, hf + "mlp.gate.weight"));
  if (Config::kCorrectionBias) {
    table.push_back(whole(correction_bias(ours + "router.correction_bias", experts), Shard::kReplicated, hf + "mlp.gate.e_score_correction_bias"));
  }
  add_experts(table, ours + "experts", hf + "mlp.experts", {experts, ffn, h});
  add_gated_mlp(table, ours + "shared_expert", hf + "mlp.shared_experts", ffn * config.n_shared_experts, h);
}

template <class Config>
void add_block(std::vector<TensorSpec>& table, const Config& config, const std::string& ours, const std::string& hf, std::int64_t layer) {
  const std::int64_t h = config.hidden_size;
  table.push_back(whole(norm(ours + "input_norm.weight", h), Shard::kReplicated, hf + "input_layernorm.weight"));
  add_latent_attention(table, ours + "attention", hf + "self_attn", config.attention_sizes());
  table.push_back(whole(norm(ours + "post_attention_norm.weight", h), Shard::kReplicated, hf + "post_attention_layernorm.weight"));
  if (layer < config.first_k_dense_replace) add_gated_mlp(table, ours + "mlp", hf + "mlp", config.intermediate_size, h);
  else add_mixture(table, config, ours, hf);
}

}  // namespace

template <class Derived>
std::vector<TensorSpec> DeepseekConfig<Derived>::tensor_table() const {
  const Derived& config = static_cast<const Derived&>(*this);
  const std::int64_t h = config.hidden_size, vocab = config.vocab_size_, layers = config.num_hidden_layers;
  std::vector<TensorSpec> table{whole(matrix("embedding.weight", {vocab, h}), Shard::kVocabulary, "model.embed_tokens.weight")};
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    add_block(table, config, "layers." + std::to_string(layer) + ".", "model.layers." + std::to_string(layer) + ".", layer);
  }
  table.push_back(whole(norm("norm.weight", h), Shard::kReplicated, "model.norm.weight"));
  if (!config.tie_word_embeddings) table.push_back(whole(matrix("head.weight", {vocab, h}), Shard::kVocabulary, "lm_head.weight"));
  if (config.num_predictors() > 0) {
    add_predictor(table, layers, h);
    add_block(table, config, kPredictor, hf_predictor(layers), layers);
  }
  return table;
}

template std::vector<TensorSpec> DeepseekConfig<DeepseekV2Config>::tensor_table() const;
template std::vector<TensorSpec> DeepseekConfig<DeepseekV3Config>::tensor_table() const;

}  // namespace sluice::models
