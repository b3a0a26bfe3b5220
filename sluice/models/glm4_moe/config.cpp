#include "sluice/models/glm4_moe/config.h"

#include <algorithm>

#include "sluice/models/multi_token.h"

namespace sluice::models {

using config::format;

void Glm4MoeConfig::read_hf(const Json& config, const std::string& where) {
  const HfConfig hf = read_decoder(config, where);
  hf.refuse_null({"num_key_value_heads", "head_dim"});
  hf.read_partial_rotary_factor(partial_rotary_factor);
  hf.require_one_of("hidden_act", {"silu", "swish"});
}

void Glm4MoeConfig::fit_to_checkpoint(const std::function<bool(const std::string& name)>& has_tensor) {
  if (!holds_predictor(has_tensor, num_hidden_layers)) num_nextn_predict_layers = 0;
  else if (num_nextn_predict_layers == 0) num_nextn_predict_layers = 1;
}

OrderedJson Glm4MoeConfig::write_hf(at::ScalarType dtype) const {
  OrderedJson config = write_decoder("Glm4MoeForCausalLM", "glm4_moe", dtype, partial_rotary_factor);
  config["head_dim"] = head_size();  // HF takes null for a width
  config["hidden_act"] = "silu";
  config["output_router_logits"] = false;
  return config;
}

MoeShape Glm4MoeConfig::moe() const {
  if (first_k_dense_replace >= num_hidden_layers + num_nextn_predict_layers) return {};
  MoeShape moe{std::max<std::int64_t>(0, num_hidden_layers - first_k_dense_replace), n_routed_experts, num_experts_per_tok, 0, {}};  // HF has no balance loss here
  for (std::int64_t layer = first_k_dense_replace; layer < num_hidden_layers; ++layer) {
    moe.expert_biases.push_back("layers." + std::to_string(layer) + ".router.correction_bias");
  }
  if (num_nextn_predict_layers > 0) moe.expert_biases.push_back(kPredictor + "router.correction_bias");
  return moe;
}

void Glm4MoeConfig::check(Violations& violations) const {
  const bool sizes = check_sizes({{"intermediate_size", intermediate_size}, {"moe_intermediate_size", moe_intermediate_size}, {"n_routed_experts", n_routed_experts},
                                  {"n_shared_experts", n_shared_experts}, {"num_experts_per_tok", num_experts_per_tok}}, violations);
  if (!check_decoder(violations) || !sizes) return;
  if (!(partial_rotary_factor > 0 && partial_rotary_factor <= 1) || rotary() < 2 || rotary() % 2 != 0) {
    violations.add("model.partial_rotary_factor = " + format(partial_rotary_factor) + " rotates " + format(rotary()) + " of " + format(head_size()) + " dimensions",
                   "use a factor above 0 and up to 1 that gives an even number");
  }
  if (first_k_dense_replace < 0) violations.add("model.first_k_dense_replace = " + format(first_k_dense_replace) + " is negative", "use the number of dense layers");
  if (num_nextn_predict_layers < 0 || num_nextn_predict_layers > 1) {
    violations.add("model.num_nextn_predict_layers = " + format(num_nextn_predict_layers) + " is not 0 or 1", "use 1, as the released models do, or 0");
  }
  check_experts("n_routed_experts", n_routed_experts, num_experts_per_tok, violations);
  check_groups(violations);
  check_parameter_count(3.0 * static_cast<double>(num_hidden_layers) * static_cast<double>(n_routed_experts) * static_cast<double>(hidden_size) *
                            static_cast<double>(moe_intermediate_size), violations);
}

void Glm4MoeConfig::check_groups(Violations& violations) const {
  if (n_group < 1 || n_routed_experts % n_group != 0 || n_routed_experts / n_group < 2) {
    violations.add("model.n_group = " + format(n_group) + " does not cut n_routed_experts = " + format(n_routed_experts) + " into equal groups of two or more", "use a divisor");
    return;
  }
  if (topk_group < 1 || topk_group > n_group) {
    violations.add("model.topk_group = " + format(topk_group) + " is not from 1 to n_group = " + format(n_group), "use a number in that range");
    return;
  }
  if (const std::int64_t open = n_routed_experts / n_group * topk_group; num_experts_per_tok > open) {
    violations.add("model.num_experts_per_tok = " + format(num_experts_per_tok) + " is more than the " + format(open) + " experts of topk_group groups", "use at most " + format(open));
  }
}

Cost Glm4MoeConfig::cost(std::int64_t seq) const {
  const std::int64_t width = num_hidden_layers * num_attention_heads * head_size();
  return cost_of(tensor_table(), moe(), {width, width, 2 * num_hidden_layers * kv_heads() * head_size()}, seq);
}

}  // namespace sluice::models
