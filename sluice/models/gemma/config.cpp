#include "sluice/models/gemma/config.h"

#include <cmath>

#include "sluice/models/layer_types.h"

namespace sluice::models {
namespace {

// Both spell attention's width themselves, and transformers takes no null for it. Versions differ in which activation they read.
void write_gemma(OrderedJson& config, std::int64_t head_size, HfActivation activation) {
  config["head_dim"] = head_size;
  config["hidden_act"] = config::format(activation);
  config["hidden_activation"] = config::format(activation);
}

// The first releases say gelu and mean its tanh form, as transformers 5.x reads it; gelu_python is the other.
HfActivation meant_by_gemma(HfActivation activation) { return activation == HfActivation::kGelu ? HfActivation::kGeluPytorchTanh : activation; }

void check_softcap(const char* name, std::optional<double> softcap, Violations& violations) {
  if (!softcap || *softcap > 0) return;
  violations.add("model." + std::string(name) + " = " + config::format(*softcap) + " is not above 0", "use a positive bound, or null for none");
}

}  // namespace

GemmaSizes GemmaConfig::sizes() const {
  GemmaSizes sizes{GemmaBlockKind::kTwoNorms, vocab_size_, hidden_size, num_attention_heads, kv_heads(), head_size(), intermediate_size, rms_norm_eps};
  sizes.attention_bias = attention_bias ? Bias::kAdded : Bias::kNone;
  sizes.activation = computed(meant_by_gemma(hidden_act));
  sizes.tied_head = tie_word_embeddings;
  sizes.attention.resize(static_cast<std::size_t>(num_hidden_layers));
  return sizes;
}

void GemmaConfig::read_hf(const Json& config, const std::string& where) {
  pad_token_id = 0, eos_token_id = {1}, bos_token_id = 2;  // HF's defaults; a model from scratch has its tokenizer's
  const HfConfig hf = read_decoder(config, where);
  hf.refuse_null({"num_key_value_heads", "head_dim"});
  hf.require_one_of("hidden_activation", {config::format(meant_by_gemma(hidden_act)), nullptr});  // of some versions of transformers alone
  hf.require_one_of("use_bidirectional_attention", {false, nullptr});
}

OrderedJson GemmaConfig::write_hf(at::ScalarType dtype) const {
  OrderedJson config = write_decoder("GemmaForCausalLM", "gemma", dtype);
  write_gemma(config, head_size(), meant_by_gemma(hidden_act));
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
  sizes.activation = computed(hidden_activation);
  sizes.tied_head = tie_word_embeddings;
  sizes.logit_softcap = final_logit_softcapping.value_or(0);
  const double scale = 1 / std::sqrt(static_cast<double>(query_pre_attn_scalar));
  for (const std::int64_t window : attention_windows(types(), sliding_window)) {
    sizes.attention.push_back({.scale = scale, .window = window, .softcap = attn_logit_softcapping.value_or(0)});
  }
  return sizes;
}

void Gemma2Config::read_hf(const Json& config, const std::string& where) {
  pad_token_id = 0, eos_token_id = {1}, bos_token_id = 2;  // as Gemma's
  const HfConfig hf = read_decoder(config, where);
  hf.refuse_null({"num_key_value_heads", "head_dim"});
  hf.require_one_of("use_bidirectional_attention", {false, nullptr});
}

OrderedJson Gemma2Config::write_hf(at::ScalarType dtype) const {
  OrderedJson config = write_decoder("Gemma2ForCausalLM", "gemma2", dtype);
  write_gemma(config, head_size(), hidden_activation);
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
