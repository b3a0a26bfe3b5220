// GPT-NeoX's tensor table: HF's names on the right (transformers, models/gpt_neox). query_key_value holds, head after head, the rows of
// its query, its key and its value, so a split by rows splits heads.
#include "sluice/models/gpt_neox/config.h"

namespace sluice::models {
namespace {

void add_layer_norm(std::vector<TensorSpec>& table, const std::string& ours, const std::string& hf, std::int64_t width) {
  table.push_back(whole(norm(ours + ".weight", width), Shard::kReplicated, hf + ".weight"));
  table.push_back(whole(bias(ours + ".bias", {width}), Shard::kReplicated, hf + ".bias"));
}

}  // namespace

std::vector<TensorSpec> GptNeoxConfig::tensor_table() const {
  const std::int64_t h = hidden_size;
  const Bias with_bias = attention_bias ? Bias::kAdded : Bias::kNone;
  std::vector<TensorSpec> table{whole(matrix("embedding.weight", {vocab_size_, h}), Shard::kVocabulary, "gpt_neox.embed_in.weight")};
  for (std::int64_t layer = 0; layer < num_hidden_layers; ++layer) {
    const std::string ours = "layers." + std::to_string(layer) + ".", hf = "gpt_neox.layers." + std::to_string(layer) + ".";
    add_layer_norm(table, ours + "input_norm", hf + "input_layernorm", h);
    add_linear(table, ours + "attention.qkv_proj", hf + "attention.query_key_value", 3 * h, h, Shard::kRows, with_bias);
    add_linear(table, ours + "attention.o_proj", hf + "attention.dense", h, h, Shard::kColumns, with_bias);
    add_layer_norm(table, ours + "post_attention_norm", hf + "post_attention_layernorm", h);
    add_linear(table, ours + "mlp.up_proj", hf + "mlp.dense_h_to_4h", intermediate_size, h, Shard::kRows, Bias::kAdded);
    add_linear(table, ours + "mlp.down_proj", hf + "mlp.dense_4h_to_h", h, intermediate_size, Shard::kColumns, Bias::kAdded);
  }
  add_layer_norm(table, "norm", "gpt_neox.final_layer_norm", h);
  if (!tie_word_embeddings) table.push_back(whole(matrix("head.weight", {vocab_size_, h}), Shard::kVocabulary, "embed_out.weight"));
  return table;
}

}  // namespace sluice::models
