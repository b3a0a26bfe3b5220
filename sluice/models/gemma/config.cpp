#include "sluice/models/gemma/config.h"

#include <cmath>

#include "sluice/models/layer_types.h"

namespace sluice::models {
namespace {

// Both spell attention's width themselves, and transformers takes no null for it.
void write_gemma(OrderedJson& config, std::int64_t head_size) {
  config["head_dim"] = head_size;
  config["hidden_act"] = "gelu_pytorch_tanh";
  config["hidden_activation"] = "gelu_pytorch_tanh";
}

void check_softcap(const char* name, std::optional<double> softcap, Violations& violations) {
  if (!softcap || *softcap > 0) return;
  violations.add("model." + std::string(name) + " = " + config::format(*softcap) + " is not above 0", "use a positive bound, or null for none");
}

}  // namespace

GemmaSizes GemmaConfig::sizes() const {
  GemmaSizes sizes{GemmaBlockKind::kTwoNorms, vocab_size_, hidden_size, num_attention_heads, kv_heads(), head_size(), intermediate_size, rms_norm_eps};
  sizes.attention_bias = attention_bias ? Bias::kAdded : Bias::kNone;
  sizes.tied_head = tie_word_embeddings;
  sizes.attention.resize(static_cast<std::size_t>(num_hidden_layers));
  return sizes;
}

void GemmaConfig::read_hf(const Json& config, const std::string& where) {
  const HfConfig hf = read_decoder(config, where);
  hf.require({"intermediate_size"});
  hf.require_one_of("hidden_act", {"gelu_pytorch_tanh", "gelu"});  // the first releases say gelu and mean tanh, as transformers 5.x reads it
  hf.require_one_of("hidden_activation", {"gelu_pytorch_tanh"});
  hf.require_one_of("use_bidirectional_attention", {false});
}

OrderedJson GemmaConfig::write_hf(at::ScalarType dtype) const {
  OrderedJson config = write_decoder("GemmaForCausalLM", "gemma", dtype);
  write_gemma(config, head_size());
  return config;
}

void GemmaConfig::check(Violations& violations) const {
  const bool sizes_good = check_sizes({{"intermediate_size", intermediate_size}}, violations);
  if (!check_decoder(violations) || !sizes_good) return;
  check_gemma(sizes(), violations);
}

std::vector<std::string> Gemma2Config::types() const {
  if (!layer_types.empty()) return layer_types;
  std::vector<std::string> types;
  for (std::int64_t layer = 0; layer < num_hidden_layers; ++layer) types.emplace_back(layer % 2 == 0 ? kSlidingAttention : kFullAttention);
  return types;
}

GemmaSizes Gemma2Config::sizes() const {
  GemmaSizes sizes{GemmaBlockKind::kFourNorms, vocab_size_, hidden_size, num_attention_heads, kv_heads(), head_size(), intermediate_size, rms_norm_eps};
  sizes.attention_bias = attention_bias ? Bias::kAdded : Bias::kNone;
  sizes.tied_head = tie_word_embeddings;
  sizes.logit_softcap = final_logit_softcapping.value_or(0);
  const double scale = 1 / std::sqrt(static_cast<double>(query_pre_attn_scalar));
  for (const std::int64_t window : attention_windows(types(), sliding_window)) {
    sizes.attention.push_back({.scale = scale, .window = window, .softcap = attn_logit_softcapping.value_or(0)});
  }
  return sizes;
}

void Gemma2Config::read_hf(const Json& config, const std::string& where) {
  const HfConfig hf = read_decoder(config, where);
  hf.require({"intermediate_size"});
  hf.require_one_of("hidden_activation", {"gelu_pytorch_tanh"});
  hf.require_one_of("use_bidirectional_attention", {false});
}

OrderedJson Gemma2Config::write_hf(at::ScalarType dtype) const {
  OrderedJson config = write_decoder("Gemma2ForCausalLM", "gemma2", dtype);
  write_gemma(config, head_size());
  config["layer_types"] = types();
  return config;
}

void Gemma2Config::check(Violations& violations) const {
  const bool sizes_good =
      check_sizes({{"intermediate_size", intermediate_size}, {"query_pre_attn_scalar", query_pre_attn_scalar}}, violations);
  if (!check_decoder(violations) || !sizes_good) return;
  if (head_dim && hidden_size % num_attention_heads != 0) {
    violations.add("model.hidden_size = " + std::to_string(hidden_size) + " is not a multiple of num_attention_heads = " + std::to_string(num_attention_heads),
                   "change one of them; transformers refuses such a Gemma 2 whatever its head_dim");
  }
  check_layer_types(types(), num_hidden_layers, sliding_window, violations);
  check_softcap("attn_logit_softcapping", attn_logit_softcapping, violations);
  check_softcap("final_logit_softcapping", final_logit_softcapping, violations);
  check_gemma(sizes(), violations);
}

}  // namespace sluice::models
