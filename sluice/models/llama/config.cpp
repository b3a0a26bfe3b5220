#include "sluice/models/llama/config.h"

#include "sluice/models/layer_types.h"

namespace sluice::models {

LlamaSizes LlamaConfig::sizes() const {
  const Bias attention = attention_bias ? Bias::kAdded : Bias::kNone;
  LlamaSizes sizes{vocab_size_, hidden_size, num_attention_heads, kv_heads(), head_size(), intermediate_size, rms_norm_eps};
  sizes.qkv_bias = attention;
  sizes.o_bias = attention;
  sizes.mlp_bias = mlp_bias ? Bias::kAdded : Bias::kNone;
  sizes.activation = computed(hidden_act);
  sizes.tied_head = tie_word_embeddings;
  sizes.windows.assign(static_cast<std::size_t>(num_hidden_layers), 0);
  return sizes;
}

void LlamaConfig::read_hf(const Json& config, const std::string& where) {
  bos_token_id = 1, eos_token_id = {2};  // HF's defaults; a model from scratch has its tokenizer's
  read_decoder(config, where);
}

OrderedJson LlamaConfig::write_hf(at::ScalarType dtype) const {
  OrderedJson config = write_decoder("LlamaForCausalLM", "llama", dtype);
  config["head_dim"] = head_size();
  config["pretraining_tp"] = 1;
  return config;
}

void LlamaConfig::check(Violations& violations) const {
  const bool sizes_good = check_sizes({{"intermediate_size", intermediate_size}}, violations);
  if (!check_decoder(violations) || !sizes_good) return;
  if (head_dim && hidden_size % num_attention_heads != 0) {
    violations.add("model.hidden_size = " + std::to_string(hidden_size) + " is not a multiple of num_attention_heads = " + std::to_string(num_attention_heads),
                   "change one of them; transformers refuses such a Llama whatever its head_dim");
  }
  check_llama(sizes(), violations);
}

LlamaSizes MistralConfig::sizes() const {
  LlamaSizes sizes{vocab_size_, hidden_size, num_attention_heads, kv_heads(), head_size(), intermediate_size, rms_norm_eps};
  sizes.activation = computed(hidden_act);
  sizes.tied_head = tie_word_embeddings;
  sizes.windows.assign(static_cast<std::size_t>(num_hidden_layers), sliding_window.value_or(0));
  return sizes;
}

void MistralConfig::read_hf(const Json& config, const std::string& where) {
  bos_token_id = 1, eos_token_id = {2};  // as Llama's
  read_decoder(config, where).refuse_null({"num_key_value_heads"});
}

OrderedJson MistralConfig::write_hf(at::ScalarType dtype) const {
  OrderedJson config = write_decoder("MistralForCausalLM", "mistral", dtype);
  config["head_dim"] = head_size();
  return config;
}

void MistralConfig::check(Violations& violations) const {
  const bool sizes_good = check_sizes({{"intermediate_size", intermediate_size}}, violations);
  if (!check_decoder(violations) || !sizes_good) return;
  check_sliding_window(sliding_window, violations);
  check_llama(sizes(), violations);
}

}  // namespace sluice::models
