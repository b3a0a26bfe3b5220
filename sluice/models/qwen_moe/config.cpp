#include "sluice/models/qwen_moe/config.h"

#include <algorithm>

namespace sluice::models {
namespace {

// HF's classes can limit attention to a window, its two versions in different layers; the released models never do.
void require_full_attention(const HfConfig& hf) {
  hf.require_one_of("use_sliding_window", {false});
  std::vector<std::string> layer_types;
  hf.read("layer_types", layer_types);
  if (std::ranges::any_of(layer_types, [](const std::string& type) { return type != "full_attention"; })) throw hf.wrong("layer_types", "full_attention in every layer");
}

void write_full_attention(OrderedJson& config) {
  config["hidden_act"] = "silu";
  config["output_router_logits"] = false;
  config["use_sliding_window"] = false;
  config["sliding_window"] = nullptr;
}

}  // namespace

void Qwen2MoeConfig::read_hf(const Json& config, const std::string& where) {
  const HfConfig hf = read_decoder(config, where);
  hf.require({"moe_intermediate_size", "num_experts_per_tok", "shared_expert_intermediate_size"});
  read_num_experts(hf);
  hf.require_one_of("hidden_act", {"silu"});
  require_full_attention(hf);
}

OrderedJson Qwen2MoeConfig::write_hf(at::ScalarType dtype) const {
  OrderedJson config = write_decoder("Qwen2MoeForCausalLM", "qwen2_moe", dtype);
  write_full_attention(config);
  config["layer_types"] = std::vector<std::string>(static_cast<std::size_t>(num_hidden_layers), "full_attention");
  if (!head_dim) config.erase("head_dim");  // HF takes a null for a size
  return config;
}

void Qwen2MoeConfig::check(Violations& violations) const {
  if (check_decoder(violations)) check_feed_forward(num_hidden_layers, hidden_size, violations);
}

Cost Qwen2MoeConfig::cost(std::int64_t seq) const {
  const std::int64_t width = num_hidden_layers * num_attention_heads * head_size();
  return cost_of(tensor_table(), moe(), {width, width, 2 * num_hidden_layers * kv_heads() * head_size()}, seq);
}

void Qwen3MoeConfig::read_hf(const Json& config, const std::string& where) {
  const HfConfig hf = read_decoder(config, where);
  hf.require({"moe_intermediate_size", "num_experts_per_tok"});
  read_num_experts(hf);
  hf.require_one_of("hidden_act", {"silu"});
  require_full_attention(hf);
}

OrderedJson Qwen3MoeConfig::write_hf(at::ScalarType dtype) const {
  OrderedJson config = write_decoder("Qwen3MoeForCausalLM", "qwen3_moe", dtype);
  write_full_attention(config);
  config["num_local_experts"] = num_experts;
  config["head_dim"] = head_size();
  return config;
}

void Qwen3MoeConfig::check(Violations& violations) const {
  if (check_decoder(violations)) check_feed_forward(num_hidden_layers, hidden_size, violations);
}

Cost Qwen3MoeConfig::cost(std::int64_t seq) const {
  const std::int64_t width = num_hidden_layers * num_attention_heads * head_size();
  return cost_of(tensor_table(), moe(), {width, width, 2 * num_hidden_layers * kv_heads() * head_size()}, seq);
}

}  // namespace sluice::models
