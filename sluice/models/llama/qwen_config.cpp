#include "sluice/models/llama/qwen_config.h"

#include "sluice/models/layer_types.h"

namespace sluice::models {

std::vector<std::string> QwenWindow::types(std::int64_t num_layers) const {
  if (!layer_types.empty()) return layer_types;
  std::vector<std::string> types;
  for (std::int64_t layer = 0; layer < num_layers; ++layer)
    types.emplace_back(window() && layer >= max_window_layers ? kSlidingAttention : kFullAttention);
  return types;
}

void QwenWindow::write(OrderedJson& config, std::int64_t num_layers) const {
  config["layer_types"] = types(num_layers);
  if (!use_sliding_window) config["sliding_window"] = nullptr;  // as transformers 5.x leaves it
}

void QwenWindow::check(std::int64_t num_layers, Violations& violations) const {
  if (use_sliding_window && !sliding_window) {
    violations.add("model.use_sliding_window = true, but model.sliding_window is null",
                   "set sliding_window, or use_sliding_window to false");
  }
  if (max_window_layers < 0)
    violations.add("model.max_window_layers = " + std::to_string(max_window_layers) + " is negative", "use the number of a layer");
  check_layer_types(types(num_layers), num_layers, window(), violations);
}

LlamaSizes Qwen2Config::sizes() const {
  LlamaSizes sizes{vocab_size_, hidden_size, num_attention_heads, kv_heads(), head_size(), intermediate_size, rms_norm_eps};
  sizes.qkv_bias = Bias::kAdded;
  sizes.activation = computed(hidden_act);
  sizes.tied_head = tie_word_embeddings;
  sizes.windows = attention_windows(types(num_hidden_layers), window());
  return sizes;
}

void Qwen2Config::read_hf(const Json& config, const std::string& where) { read_decoder(config, where).refuse_null({"head_dim"}); }

OrderedJson Qwen2Config::write_hf(at::ScalarType dtype) const {
  OrderedJson config = write_decoder("Qwen2ForCausalLM", "qwen2", dtype);
  if (!head_dim) config.erase("head_dim");  // not of HF's class: a null there would be taken for a size
  write(config, num_hidden_layers);
  return config;
}

void Qwen2Config::check(Violations& violations) const {
  const bool sizes_good = check_sizes({{"intermediate_size", intermediate_size}}, violations);
  if (!check_decoder(violations) || !sizes_good) return;
  QwenWindow::check(num_hidden_layers, violations);
  check_llama(sizes(), violations);
}

LlamaSizes Qwen3Config::sizes() const {
  LlamaSizes sizes{vocab_size_, hidden_size, num_attention_heads, kv_heads(), head_size(), intermediate_size, rms_norm_eps};
  const Bias attention = attention_bias ? Bias::kAdded : Bias::kNone;
  sizes.qkv_bias = attention;
  sizes.o_bias = attention;
  sizes.head_norm = HeadNorm::kQueryAndKey;
  sizes.activation = computed(hidden_act);
  sizes.tied_head = tie_word_embeddings;
  sizes.windows = attention_windows(types(num_hidden_layers), window());
  return sizes;
}

void Qwen3Config::read_hf(const Json& config, const std::string& where) { read_decoder(config, where).refuse_null({"head_dim"}); }

OrderedJson Qwen3Config::write_hf(at::ScalarType dtype) const {
  OrderedJson config = write_decoder("Qwen3ForCausalLM", "qwen3", dtype);
  config["head_dim"] = head_size();
  write(config, num_hidden_layers);
  return config;
}

void Qwen3Config::check(Violations& violations) const {
  const bool sizes_good = check_sizes({{"intermediate_size", intermediate_size}}, violations);
  if (!check_decoder(violations) || !sizes_good) return;
  QwenWindow::check(num_hidden_layers, violations);
  check_llama(sizes(), violations);
}

}  // namespace sluice::models
