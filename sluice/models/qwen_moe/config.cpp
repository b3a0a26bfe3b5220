#include "sluice/models/qwen_moe/config.h"

#include <algorithm>

#include "sluice/models/layer_types.h"

namespace sluice::models {
namespace {

// Both classes drop the window unless use_sliding_window, and leave it null or 0 in the files that they write.
void check_window(bool use_sliding_window, std::optional<std::int64_t> sliding_window, Violations& violations) {
  if (use_sliding_window && !sliding_window) {
    violations.add("model.use_sliding_window = true, but model.sliding_window is null", "set sliding_window, or use_sliding_window to false");
  }
  if (use_sliding_window) check_sliding_window(sliding_window, violations);
}

}  // namespace

std::vector<std::string> Qwen2MoeConfig::types() const {
  if (!layer_types.empty()) return layer_types;
  std::vector<std::string> types;
  for (std::int64_t layer = 0; layer < num_hidden_layers; ++layer) {
    types.emplace_back(use_sliding_window && layer % 2 == 0 && layer < max_window_layers ? kSlidingAttention : kFullAttention);
  }
  return types;
}

std::int64_t Qwen2MoeConfig::window(std::int64_t layer) const {
  const bool full = !use_sliding_window || types()[static_cast<std::size_t>(layer)] == kFullAttention;
  return full ? 0 : sliding_window.value_or(0);
}

void Qwen2MoeConfig::read_hf(const Json& config, const std::string& where) {
  const HfConfig hf = read_decoder(config, where);
  hf.refuse_null({"num_key_value_heads", "head_dim"});
  read_num_experts(hf);
  hf.require_one_of("hidden_act", {"silu", "swish"});
}

OrderedJson Qwen2MoeConfig::write_hf(at::ScalarType dtype) const {
  OrderedJson config = write_decoder("Qwen2MoeForCausalLM", "qwen2_moe", dtype);
  config["hidden_act"] = "silu";
  config["output_router_logits"] = false;
  config["layer_types"] = types();
  if (!use_sliding_window) config["sliding_window"] = nullptr;
  if (!head_dim) config.erase("head_dim");  // HF takes a null for a size
  return config;
}

void Qwen2MoeConfig::check(Violations& violations) const {
  if (!check_decoder(violations) || !check_feed_forward(num_hidden_layers, hidden_size, violations)) return;
  check_window(use_sliding_window, sliding_window, violations);
  if (max_window_layers < 0) violations.add("model.max_window_layers = " + std::to_string(max_window_layers) + " is negative", "use the number of a layer");
  check_layer_types(types(), num_hidden_layers, use_sliding_window ? sliding_window : std::nullopt, violations);
}

Cost Qwen2MoeConfig::cost(std::int64_t seq) const {
  const std::int64_t width = num_hidden_layers * num_attention_heads * head_size();
  return cost_of(tensor_table(), moe(), {width, width, 2 * num_hidden_layers * kv_heads() * head_size()}, seq);
}

void Qwen3MoeConfig::read_hf(const Json& config, const std::string& where) {
  const HfConfig hf = read_decoder(config, where);
  hf.refuse_null({"num_key_value_heads", "head_dim"});
  read_num_experts(hf);
  hf.require_one_of("hidden_act", {"silu", "swish"});
  std::vector<std::string> layer_types;  // not of HF's class, which has one kind of layer
  hf.read("layer_types", layer_types);
  const char* kind = use_sliding_window ? kSlidingAttention : kFullAttention;
  if (std::ranges::any_of(layer_types, [&](const std::string& type) { return type != kind; })) throw hf.wrong("layer_types", std::string(kind) + " in every layer");
}

OrderedJson Qwen3MoeConfig::write_hf(at::ScalarType dtype) const {
  OrderedJson config = write_decoder("Qwen3MoeForCausalLM", "qwen3_moe", dtype);
  config["hidden_act"] = "silu";
  config["output_router_logits"] = false;
  if (!use_sliding_window) config["sliding_window"] = nullptr;
  config["num_local_experts"] = num_experts;
  config["head_dim"] = head_size();
  return config;
}

void Qwen3MoeConfig::check(Violations& violations) const {
  if (!check_decoder(violations) || !check_feed_forward(num_hidden_layers, hidden_size, violations)) return;
  check_window(use_sliding_window, sliding_window, violations);
}

Cost Qwen3MoeConfig::cost(std::int64_t seq) const {
  const std::int64_t width = num_hidden_layers * num_attention_heads * head_size();
  return cost_of(tensor_table(), moe(), {width, width, 2 * num_hidden_layers * kv_heads() * head_size()}, seq);
}

}  // namespace sluice::models
