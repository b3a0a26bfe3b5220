#include "sluice/models/gpt_oss/config.h"

#include "sluice/models/layer_types.h"

namespace sluice::models {

std::vector<std::string> GptOssConfig::types() const {
  if (!layer_types.empty()) return layer_types;
  std::vector<std::string> types;
  for (std::int64_t layer = 0; layer < num_hidden_layers; ++layer) types.emplace_back(layer % 2 == 0 ? kSlidingAttention : kFullAttention);
  return types;
}

std::int64_t GptOssConfig::window(std::int64_t layer) const {
  return types()[static_cast<std::size_t>(layer)] == kSlidingAttention ? sliding_window.value_or(0) : 0;
}

void GptOssConfig::read_hf(const Json& config, const std::string& where) {
  const HfConfig hf = read_decoder(config, where);
  hf.refuse_null({"num_key_value_heads", "head_dim"});
  hf.require_one_of("hidden_act", {"silu", "swish"});
  hf.require_one_of("swiglu_alpha", {1.702});
  hf.require_one_of("swiglu_limit", {7.0});
}

OrderedJson GptOssConfig::write_hf(at::ScalarType dtype) const {
  OrderedJson config = write_decoder("GptOssForCausalLM", "gpt_oss", dtype);
  config["layer_types"] = types();
  config["head_dim"] = head_size();
  config["hidden_act"] = "silu";
  config["swiglu_alpha"] = 1.702;
  config["swiglu_limit"] = 7.0;
  config["output_router_logits"] = false;
  return config;
}

void GptOssConfig::check(Violations& violations) const {
  const bool sizes = check_sizes({{"intermediate_size", intermediate_size}, {"num_local_experts", num_local_experts}, {"num_experts_per_tok", num_experts_per_tok}}, violations);
  if (!check_decoder(violations) || !sizes) return;
  check_experts("num_local_experts", num_local_experts, num_experts_per_tok, violations);
  check_parameter_count(3.0 * static_cast<double>(num_hidden_layers) * static_cast<double>(num_local_experts) * static_cast<double>(hidden_size) *
                            static_cast<double>(intermediate_size), violations);
  check_layer_types(types(), num_hidden_layers, sliding_window, violations);
}

Cost GptOssConfig::cost(std::int64_t seq) const {
  const std::int64_t width = num_hidden_layers * num_attention_heads * head_size();
  return cost_of(tensor_table(), moe(), {width, width, 2 * num_hidden_layers * kv_heads() * head_size()}, seq);
}

}  // namespace sluice::models
