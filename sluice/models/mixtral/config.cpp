#include "sluice/models/mixtral/config.h"

#include "sluice/models/layer_types.h"

namespace sluice::models {

void MixtralConfig::read_hf(const Json& config, const std::string& where) {
  // HF's defaults; a model from scratch has its own.
  max_position_embeddings = 131072;
  bos_token_id = 1, eos_token_id = {2};
  const HfConfig hf = read_decoder(config, where);
  hf.refuse_null({"num_key_value_heads"});
  hf.require_one_of("hidden_act", {"silu", "swish"});
}

OrderedJson MixtralConfig::write_hf(at::ScalarType dtype) const {
  OrderedJson config = write_decoder("MixtralForCausalLM", "mixtral", dtype);
  config["head_dim"] = head_size();  // transformers 5 takes null for a width where rope is stretched
  config["hidden_act"] = "silu";
  config["output_router_logits"] = false;
  return config;
}

void MixtralConfig::check(Violations& violations) const {
  const bool sizes = check_sizes({{"intermediate_size", intermediate_size}, {"num_local_experts", num_local_experts}, {"num_experts_per_tok", num_experts_per_tok}}, violations);
  if (!check_decoder(violations) || !sizes) return;
  check_sliding_window(sliding_window, violations);
  check_experts("num_local_experts", num_local_experts, num_experts_per_tok, violations);
  check_parameter_count(3.0 * static_cast<double>(num_hidden_layers) * static_cast<double>(num_local_experts) * static_cast<double>(hidden_size) *
                            static_cast<double>(intermediate_size), violations);
}

Cost MixtralConfig::cost(std::int64_t seq) const {
  const std::int64_t width = num_hidden_layers * num_attention_heads * head_size();
  return cost_of(tensor_table(), moe(), {width, width, 2 * num_hidden_layers * kv_heads() * head_size()}, seq);
}

}  // namespace sluice::models
