#include "sluice/models/olmoe/config.h"

namespace sluice::models {

void OlmoeConfig::read_hf(const Json& config, const std::string& where) {
  const HfConfig hf = read_decoder(config, where);
  hf.refuse_null({"head_dim"});
  hf.require_one_of("hidden_act", {"silu", "swish"});
}

OrderedJson OlmoeConfig::write_hf(at::ScalarType dtype) const {
  OrderedJson config = write_decoder("OlmoeForCausalLM", "olmoe", dtype);
  config["hidden_act"] = "silu";
  config["output_router_logits"] = false;
  config.erase("head_dim");  // always hidden_size / num_attention_heads, and HF takes a null for a size
  return config;
}

void OlmoeConfig::check(Violations& violations) const {
  const bool sizes = check_sizes({{"intermediate_size", intermediate_size}, {"num_experts", num_experts}, {"num_experts_per_tok", num_experts_per_tok}}, violations);
  if (!check_decoder(violations) || !sizes) return;
  check_experts("num_experts", num_experts, num_experts_per_tok, violations);
  if (head_dim && *head_dim * num_attention_heads != hidden_size) {
    violations.add("model.head_dim = " + std::to_string(*head_dim) + " is not hidden_size / num_attention_heads, and OLMoE has no other", "leave model.head_dim out");
  }
  if (clip_qkv && !(*clip_qkv > 0)) violations.add("model.clip_qkv = " + config::format(*clip_qkv) + " is not above 0", "use null for no limit");
  check_parameter_count(3.0 * static_cast<double>(num_hidden_layers) * static_cast<double>(num_experts) * static_cast<double>(hidden_size) *
                            static_cast<double>(intermediate_size), violations);
}

Cost OlmoeConfig::cost(std::int64_t seq) const {
  const std::int64_t width = num_hidden_layers * num_attention_heads * head_size();
  return cost_of(tensor_table(), moe(), {width, width, 2 * num_hidden_layers * kv_heads() * head_size()}, seq);
}

}  // namespace sluice::models
