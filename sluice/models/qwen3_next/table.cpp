// Qwen3-Next's tensor table: HF's names on the right (transformers, models/qwen3_next; the same in 4.x and 5.x files). HF leaves mtp.* out
// when it loads; the released checkpoints have it.
#include "sluice/models/multi_token.h"
#include "sluice/models/qwen3_next/config.h"

namespace sluice::models {
namespace {

TensorSpec zero_centred_norm(const std::string& ours, const std::string& hf, std::int64_t width) {
  return whole(norm(ours, width, nn::Init::kZeros), Shard::kReplicated, hf);
}

void add_gated_attention(std::vector<TensorSpec>& table, const Qwen3NextConfig& config, const std::string& ours, const std::string& hf) {
  const std::int64_t h = config.hidden_size, d = config.head_size(), q = config.num_attention_heads * d;
  const Bias bias = config.attention_bias ? Bias::kAdded : Bias::kNone;
  add_linear(table, ours + "attention.q_proj", hf + "self_attn.q_proj", 2 * q, h, Shard::kRows, bias);  // of each head: query, gate
  add_kv_linear(table, ours + "attention.k_proj", hf + "self_attn.k_proj", {config.kv_heads(), d, h}, bias);
  add_kv_linear(table, ours + "attention.v_proj", hf + "self_attn.v_proj", {config.kv_heads(), d, h}, bias);
  add_linear(table, ours + "attention.o_proj", hf + "self_attn.o_proj", h, q, Shard::kColumns, bias);
  table.push_back(zero_centred_norm(ours + "attention.q_norm.weight", hf + "self_attn.q_norm.weight", d));
  table.push_back(zero_centred_norm(ours + "attention.k_norm.weight", hf + "self_attn.k_norm.weight", d));
}

// Rows as nn::GatedDeltaNet names them: the linears' by key head, the convolution's channels flat.
void add_delta_net(std::vector<TensorSpec>& table, const Qwen3NextConfig& config, const std::string& ours, const std::string& hf) {
  const nn::DeltaNetSizes sizes = config.delta_net();
  const std::int64_t h = config.hidden_size, keys = sizes.key_heads * sizes.key_dim, values = sizes.value_heads * sizes.value_dim;
  const std::size_t first = table.size();
  const auto small = [&](const std::string& name, std::int64_t width, nn::Init init, Shard shard) { return whole(norm(ours + name, width, init), shard, hf + name); };
  add_linear(table, ours + "in_proj_qkvz", hf + "in_proj_qkvz", sizes.channels() + values, h, Shard::kRows);
  add_linear(table, ours + "in_proj_ba", hf + "in_proj_ba", 2 * sizes.value_heads, h, Shard::kRows);
  const nn::ParameterSpec conv{ours + "conv1d.weight", {sizes.channels(), sizes.kernel}, nn::Init::kNormal, nn::Keep::kFloat32};
  table.push_back({conv, Shard::kSegments, {{hf + "conv1d.weight", {sizes.channels(), 1, sizes.kernel}}}});
  table.back().segments = {keys, keys, values};
  table.push_back(small("A_log", sizes.value_heads, nn::Init::kLogUniform, Shard::kRows));
  table.push_back(small("dt_bias", sizes.value_heads, nn::Init::kOnes, Shard::kRows));
  table.push_back(small("norm.weight", sizes.value_dim, nn::Init::kOnes, Shard::kReplicated));
  add_linear(table, ours + "out_proj", hf + "out_proj", h, values, Shard::kColumns);
  for (std::size_t i = first; i < table.size(); ++i) table[i].undivided = sizes.key_heads;
}

void add_predictor(std::vector<TensorSpec>& table, const Qwen3NextConfig& config) {
  const std::int64_t h = config.hidden_size;
  table.push_back(zero_centred_norm(kPredictor + "embedding_norm.weight", "mtp.pre_fc_norm_embedding.weight", h));
  table.push_back(zero_centred_norm(kPredictor + "hidden_norm.weight", "mtp.pre_fc_norm_hidden.weight", h));
  add_linear(table, kPredictor + "projection", "mtp.fc", h, 2 * h, Shard::kReplicated);
  table.push_back(zero_centred_norm(kPredictor + "input_norm.weight", "mtp.layers.0.input_layernorm.weight", h));
  add_gated_attention(table, config, kPredictor, "mtp.layers.0.");
  table.push_back(zero_centred_norm(kPredictor + "post_attention_norm.weight", "mtp.layers.0.post_attention_layernorm.weight", h));
  config.add_mixture(table, kPredictor, "mtp.layers.0.", h);
  table.push_back(zero_centred_norm(kPredictor + "norm.weight", "mtp.norm.weight", h));
}

}  // namespace

std::vector<TensorSpec> Qwen3NextConfig::tensor_table() const {
  const std::int64_t h = hidden_size;
  std::vector<TensorSpec> table{whole(matrix("embedding.weight", {vocab_size_, h}), Shard::kVocabulary, "model.embed_tokens.weight")};
  for (std::int64_t layer = 0; layer < num_hidden_layers; ++layer) {
    const std::string ours = "layers." + std::to_string(layer) + ".", hf = "model.layers." + std::to_string(layer) + ".";
    table.push_back(zero_centred_norm(ours + "input_norm.weight", hf + "input_layernorm.weight", h));
    if (has_attention(layer)) add_gated_attention(table, *this, ours, hf);
    else add_delta_net(table, *this, ours + "delta_net.", hf + "linear_attn.");
    table.push_back(zero_centred_norm(ours + "post_attention_norm.weight", hf + "post_attention_layernorm.weight", h));
    add_feed_forward(table, ours, hf, layer, h);
  }
  table.push_back(zero_centred_norm("norm.weight", "model.norm.weight", h));
  if (!tie_word_embeddings) table.push_back(whole(matrix("head.weight", {vocab_size_, h}), Shard::kVocabulary, "lm_head.weight"));
  if (num_nextn_predict_layers > 0) add_predictor(table, *this);
  return table;
}

}  // namespace sluice::models
