#include "sluice/models/gpt_neox/config.h"

namespace sluice::models {
namespace {

// rotary_pct and rotary_emb_base are this family's names of what others call partial_rotary_factor and rope_theta; a file may have both.
void require_equal(const HfConfig& hf, const char* own_name, double own, const char* other_name, double other) {
  if (!hf.has(own_name) || own == other) return;
  throw Error(hf.where() + ": " + own_name + " = " + config::format(own) + " and " + other_name + " = " + config::format(other) + " disagree",
              "keep the one that the model was trained with in both places");
}

}  // namespace

void GptNeoxConfig::read_hf(const Json& config, const std::string& where) {
  bos_token_id = 0, eos_token_id = {2};  // HF's defaults; a model from scratch has its tokenizer's
  const HfConfig hf(config, where);
  read_fields(*this, hf);
  double theta = rotary_emb_base, factor = rotary_pct;
  hf.read_rope(theta, rope_scaling);
  hf.read_partial_rotary_factor(factor);
  require_equal(hf, "rotary_emb_base", rotary_emb_base, "rope_theta", theta);
  require_equal(hf, "rotary_pct", rotary_pct, "partial_rotary_factor", factor);
  rotary_emb_base = theta;
  rotary_pct = factor;
}

OrderedJson GptNeoxConfig::write_hf(at::ScalarType dtype) const {
  OrderedJson config = write_common("GPTNeoXForCausalLM", "gpt_neox", dtype);
  write_rope(config, rotary_emb_base, rope_scaling, rotary_pct);
  return config;
}

// Older versions saved the causal mask and the frequencies of each layer.
bool GptNeoxConfig::ignores(const std::string& hf_name) const {
  return ModelConfig::ignores(hf_name) || hf_name.ends_with(".attention.bias") || hf_name.ends_with(".attention.masked_bias") ||
         (tie_word_embeddings && hf_name == "embed_out.weight");
}

void GptNeoxConfig::check(Violations& violations) const {
  if (!check_sizes({{"vocab_size", vocab_size_}, {"hidden_size", hidden_size}, {"num_hidden_layers", num_hidden_layers},
                    {"num_attention_heads", num_attention_heads}, {"intermediate_size", intermediate_size},
                    {"max_position_embeddings", max_position_embeddings}}, violations)) {
    return;
  }
  if (hidden_size % num_attention_heads != 0) {
    violations.add("model.hidden_size = " + std::to_string(hidden_size) + " is not a multiple of num_attention_heads = " + std::to_string(num_attention_heads),
                   "change one of them");
  }
  if (!(rotary_pct > 0 && rotary_pct <= 1)) {
    violations.add("model.rotary_pct = " + config::format(rotary_pct) + " is not above 0 and at most 1", "use the part of each head that is rotated, such as 0.25");
  } else if (rotary_size() < 1 || rotary_size() + rotary_size() % 2 > head_size()) {
    violations.add("model.rotary_pct = " + config::format(rotary_pct) + " rotates " + std::to_string(rotary_size()) + " of a head's " +
                       std::to_string(head_size()) + " dimensions, and there is no pair to rotate", "use a larger rotary_pct");
  }
  check_rope(rotary_emb_base, rope_scaling, rotary_size(), violations);
  check_epsilon("layer_norm_eps", layer_norm_eps, violations);
  check_initializer_range(initializer_range, violations);
  check_parameter_count(2.0 * static_cast<double>(num_hidden_layers) * static_cast<double>(hidden_size) * static_cast<double>(intermediate_size), violations);
}

Cost GptNeoxConfig::cost(std::int64_t seq) const {
  const std::int64_t width = num_hidden_layers * hidden_size;
  return cost_of(tensor_table(), moe(), {width, width, 2 * width}, seq);
}

}  // namespace sluice::models
