#include "sluice/models/gpt2/config.h"

namespace sluice::models {

void Gpt2Config::read_hf(const Json& config, const std::string& where) {
  bos_token_id = 50256, eos_token_id = {50256};  // HF's defaults; a model from scratch has its tokenizer's
  const HfConfig hf(config, where);
  read_fields(*this, hf);
  hf.require_one_of("add_cross_attention", {false});
}

OrderedJson Gpt2Config::write_hf(at::ScalarType dtype) const {
  OrderedJson config = write_common("GPT2LMHeadModel", "gpt2", dtype);
  for (const char* dropout : {"attn_pdrop", "embd_pdrop", "resid_pdrop"}) config[dropout] = 0.0;
  return config;
}

// Older versions saved the causal mask of each layer, and the head beside the embedding.
bool Gpt2Config::ignores(const std::string& hf_name) const {
  return hf_name.ends_with(".attn.bias") || hf_name.ends_with(".attn.masked_bias") || (tie_word_embeddings && hf_name == "lm_head.weight");
}

void Gpt2Config::check(Violations& violations) const {
  const std::vector<NamedSize> sizes{{"vocab_size", vocab_size_}, {"n_positions", n_positions}, {"n_embd", n_embd}, {"n_layer", n_layer}, {"n_head", n_head}};
  if (!check_sizes(sizes, violations) || !check_sizes({{"n_inner", ffn()}}, violations)) return;
  if (n_embd % n_head != 0) {
    violations.add("model.n_embd = " + std::to_string(n_embd) + " is not a multiple of n_head = " + std::to_string(n_head), "change one of them");
  }
  check_epsilon("layer_norm_epsilon", layer_norm_epsilon, violations);
  check_initializer_range(initializer_range, violations);
  check_parameter_count(2.0 * static_cast<double>(n_layer) * static_cast<double>(n_embd) * static_cast<double>(ffn()), violations);
}

Cost Gpt2Config::cost(std::int64_t seq) const {
  const std::int64_t width = n_layer * n_embd;
  return cost_of(tensor_table(), moe(), {width, width, 2 * width}, seq);
}

}  // namespace sluice::models
