#include "sluice/models/qwen3_next/config.h"

#include "sluice/models/multi_token.h"

namespace sluice::models {
namespace {

constexpr const char* kAttention = "full_attention";
constexpr const char* kDeltaNet = "linear_attention";

}  // namespace

std::vector<std::string> Qwen3NextConfig::layer_types_by_interval() const {
  std::vector<std::string> types;
  for (std::int64_t layer = 0; layer < num_hidden_layers; ++layer) types.emplace_back((layer + 1) % full_attention_interval == 0 ? kAttention : kDeltaNet);
  return types;
}

bool Qwen3NextConfig::has_attention(std::int64_t layer) const {
  return layer_types.empty() ? (layer + 1) % full_attention_interval == 0 : layer_types[static_cast<std::size_t>(layer)] == kAttention;
}

void Qwen3NextConfig::read_hf(const Json& config, const std::string& where) {
  const HfConfig hf = read_decoder(config, where);
  hf.refuse_null({"num_key_value_heads", "head_dim"});
  read_num_experts(hf);
  hf.read_partial_rotary_factor(partial_rotary_factor);
  hf.require_one_of("hidden_act", {"silu", "swish"});
}

// HF's config has no word for multi-token prediction in this family.
void Qwen3NextConfig::fit_to_checkpoint(const std::function<bool(const std::string& name)>& has_tensor) {
  num_nextn_predict_layers = has_tensor("mtp.fc.weight") || has_tensor(kPredictor + "projection.weight") ? 1 : 0;
}

OrderedJson Qwen3NextConfig::write_hf(at::ScalarType dtype) const {
  OrderedJson config = write_decoder("Qwen3NextForCausalLM", "qwen3_next", dtype, partial_rotary_factor);
  config["head_dim"] = head_size();
  config["layer_types"] = layer_types.empty() ? layer_types_by_interval() : layer_types;
  config["hidden_act"] = "silu";
  config["output_router_logits"] = false;
  return config;
}

void Qwen3NextConfig::check(Violations& violations) const {
  const bool sizes = check_sizes({{"linear_num_key_heads", linear_num_key_heads}, {"linear_num_value_heads", linear_num_value_heads},
                                  {"linear_key_head_dim", linear_key_head_dim}, {"linear_value_head_dim", linear_value_head_dim},
                                  {"linear_conv_kernel_dim", linear_conv_kernel_dim}, {"full_attention_interval", full_attention_interval}}, violations);
  if (!check_decoder(violations) || !check_feed_forward(num_hidden_layers, hidden_size, violations) || !sizes) return;
  check_layers(violations);
  const double heads = 2.0 * (static_cast<double>(linear_num_key_heads) * static_cast<double>(linear_key_head_dim) +
                              static_cast<double>(linear_num_value_heads) * static_cast<double>(linear_value_head_dim));
  check_parameter_count(static_cast<double>(num_hidden_layers) * static_cast<double>(hidden_size) * heads, violations);
  if (linear_num_value_heads % linear_num_key_heads != 0) {
    violations.add("model.linear_num_value_heads = " + std::to_string(linear_num_value_heads) + " is not a multiple of linear_num_key_heads = " +
                       std::to_string(linear_num_key_heads), "use a multiple");
  }
  if (!(partial_rotary_factor > 0 && partial_rotary_factor <= 1) || rotary() < 2 || rotary() % 2 != 0) {
    violations.add("model.partial_rotary_factor = " + config::format(partial_rotary_factor) + " of head_dim = " + std::to_string(head_size()) +
                       " is not an even number of dimensions", "use a factor from 0 to 1 that gives one, as 0.25 of 256");
  }
  if (num_nextn_predict_layers < 0 || num_nextn_predict_layers > 1) {
    violations.add("model.num_nextn_predict_layers = " + std::to_string(num_nextn_predict_layers) + " is not supported", "use 0 or 1");
  }
}

void Qwen3NextConfig::check_layers(Violations& violations) const {
  if (layer_types.empty()) return;
  if (static_cast<std::int64_t>(layer_types.size()) != num_hidden_layers) {
    violations.add("model.layer_types names " + std::to_string(layer_types.size()) + " layers and num_hidden_layers = " + std::to_string(num_hidden_layers),
                   "name each layer once, or leave layer_types empty");
  }
  for (const std::string& type : layer_types) {
    if (type == kAttention || type == kDeltaNet) continue;
    violations.add("model.layer_types has '" + type + "'", "use full_attention or linear_attention");
  }
}

Cost Qwen3NextConfig::cost(std::int64_t seq) const {
  std::int64_t attention = 0;
  for (std::int64_t layer = 0; layer < num_hidden_layers; ++layer) attention += has_attention(layer);
  const std::int64_t width = (attention + num_nextn_predict_layers) * num_attention_heads * head_size();
  Cost cost = cost_of(tensor_table(), moe(), {width, width, 2 * attention * kv_heads() * head_size()}, seq);
  // Three products of a value head's state with a vector, each a multiplication and an addition an element.
  cost.forward_flops_per_token += 6.0 * static_cast<double>((num_hidden_layers - attention) * linear_num_value_heads * linear_key_head_dim) * static_cast<double>(linear_value_head_dim);
  return cost;
}

}  // namespace sluice::models
