#include "sluice/models/gpt_oss/config.h"

namespace sluice::models {
namespace {

constexpr const char *kSliding = "sliding_attention", *kFull = "full_attention";

}  // namespace

using config::format;

bool GptOssConfig::is_sliding(std::int64_t layer) const {
  return layer_types.empty() ? layer % 2 == 0 : layer_types[static_cast<std::size_t>(layer)] == kSliding;
}

std::int64_t GptOssConfig::window(std::int64_t layer) const { return is_sliding(layer) ? sliding_window.value_or(0) : 0; }

void GptOssConfig::read_hf(const Json& config, const std::string& where) {
  const HfConfig hf = read_decoder(config, where);
  hf.require({"intermediate_size", "num_local_experts", "num_experts_per_tok"});
  hf.require_one_of("hidden_act", {"silu"});
  hf.require_one_of("attention_bias", {true});
  hf.require_one_of("swiglu_alpha", {1.702});
  hf.require_one_of("swiglu_limit", {7.0});
}

OrderedJson GptOssConfig::write_hf(at::ScalarType dtype) const {
  OrderedJson config = write_decoder("GptOssForCausalLM", "gpt_oss", dtype);
  OrderedJson types = OrderedJson::array();
  for (std::int64_t layer = 0; layer < num_hidden_layers; ++layer) types.push_back(is_sliding(layer) ? kSliding : kFull);
  config["layer_types"] = types;
  config["head_dim"] = head_size();
  config["hidden_act"] = "silu";
  config["attention_bias"] = true;
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
  if (sliding_window && *sliding_window < 1) violations.add("model.sliding_window = " + format(*sliding_window) + " is not a length", "use at least 1, or null");
  if (!layer_types.empty() && static_cast<std::int64_t>(layer_types.size()) != num_hidden_layers) {
    violations.add("model.layer_types names " + std::to_string(layer_types.size()) + " layers, and num_hidden_layers = " + format(num_hidden_layers), "name each layer once, or leave it out");
  }
  for (const std::string& type : layer_types) {
    if (type != kSliding && type != kFull) violations.add("model.layer_types has '" + type + "'", std::string("use ") + kSliding + " or " + kFull);
  }
}

Cost GptOssConfig::cost(std::int64_t seq) const {
  const std::int64_t width = num_hidden_layers * num_attention_heads * head_size();
  return cost_of(tensor_table(), moe(), {width, width, 2 * num_hidden_layers * kv_heads() * head_size()}, seq);
}

}  // namespace sluice::models
