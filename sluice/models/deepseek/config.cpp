#include "sluice/models/deepseek/config.h"

#include <algorithm>
#include <cmath>

#include "sluice/models/multi_token.h"

namespace sluice::models {

using config::format;

template <class Derived>
LatentSizes DeepseekConfig<Derived>::attention_sizes() const {
  // Where positions are stretched, scores are scaled by the square of yarn's magnitude.
  const bool stretched = this->rope_scaling.rope_type != nn::RopeType::kDefault && this->rope_scaling.mscale_all_dim.value_or(0) != 0;
  const double magnitude = stretched ? nn::yarn_magnitude(nn::stretch(this->rope_scaling, this->max_position_embeddings), *this->rope_scaling.mscale_all_dim) : 1;
  const double scale = magnitude * magnitude / std::sqrt(static_cast<double>(qk_nope_head_dim + qk_rope_head_dim));
  return {this->hidden_size, this->num_attention_heads, q_lora_rank,        kv_lora_rank, qk_nope_head_dim, qk_rope_head_dim,
          v_head_dim,        attention_bias ? Bias::kAdded : Bias::kNone, scale,        static_cast<const Derived&>(*this).rotary_pairs()};
}

template <class Derived>
MoeShape DeepseekConfig<Derived>::moe() const {
  const std::int64_t layers = this->num_hidden_layers, predictors = static_cast<const Derived&>(*this).num_predictors();
  if (first_k_dense_replace >= layers + predictors) return {};
  MoeShape moe{std::max<std::int64_t>(0, layers - first_k_dense_replace), n_routed_experts, num_experts_per_tok, 0, {}};  // HF has no balance loss here
  if (!Derived::kCorrectionBias) return moe;
  for (std::int64_t layer = first_k_dense_replace; layer < layers; ++layer) {
    moe.expert_biases.push_back("layers." + std::to_string(layer) + ".router.correction_bias");
  }
  if (predictors > 0) moe.expert_biases.push_back(kPredictor + "router.correction_bias");
  return moe;
}

template <class Derived>
Cost DeepseekConfig<Derived>::cost(std::int64_t seq) const {
  const std::int64_t heads = this->num_hidden_layers * this->num_attention_heads;
  const AttentionWidths widths{heads * (qk_nope_head_dim + qk_rope_head_dim), heads * v_head_dim, this->num_hidden_layers * (2 * kv_lora_rank + qk_rope_head_dim)};
  return cost_of(this->tensor_table(), moe(), widths, seq);
}

template <class Derived>
HfConfig DeepseekConfig<Derived>::read_deepseek(const Json& json, const std::string& where) {
  const HfConfig hf = this->read_decoder(json, where);
  hf.require_one_of("hidden_act", {"silu", "swish"});
  hf.require_one_of("moe_layer_freq", {1, nullptr});
  return hf;
}

template <class Derived>
OrderedJson DeepseekConfig<Derived>::write_deepseek(const char* hf_class, const char* model_type, at::ScalarType dtype) const {
  OrderedJson out = this->write_decoder(hf_class, model_type, dtype);
  out["head_dim"] = qk_rope_head_dim;  // HF's name for the rotary width
  out["hidden_act"] = "silu";
  out["moe_layer_freq"] = 1;
  out["output_router_logits"] = false;
  return out;
}

template <class Derived>
bool DeepseekConfig<Derived>::check_deepseek(Violations& violations) const {
  std::vector<NamedSize> sizes{{"vocab_size", this->vocab_size_}, {"hidden_size", this->hidden_size}, {"num_hidden_layers", this->num_hidden_layers},
                               {"num_attention_heads", this->num_attention_heads}, {"max_position_embeddings", this->max_position_embeddings},
                               {"intermediate_size", intermediate_size}, {"moe_intermediate_size", moe_intermediate_size},
                               {"n_routed_experts", n_routed_experts}, {"n_shared_experts", n_shared_experts}, {"num_experts_per_tok", num_experts_per_tok},
                               {"kv_lora_rank", kv_lora_rank}, {"qk_nope_head_dim", qk_nope_head_dim}, {"qk_rope_head_dim", qk_rope_head_dim}, {"v_head_dim", v_head_dim}};
  if (q_lora_rank) sizes.emplace_back("q_lora_rank", *q_lora_rank);
  if (!check_sizes(sizes, violations)) return false;
  if (qk_rope_head_dim % 2 != 0) violations.add("model.qk_rope_head_dim = " + format(qk_rope_head_dim) + " is odd, and rotary embeddings need pairs", "use an even one");
  if (this->head_dim && *this->head_dim != qk_rope_head_dim) {
    violations.add("model.head_dim = " + format(*this->head_dim) + " is not qk_rope_head_dim = " + format(qk_rope_head_dim), "leave it out: latent attention has no width of its own by that name");
  }
  if (this->kv_heads() != this->num_attention_heads) {
    violations.add("model.num_key_value_heads = " + format(this->kv_heads()) + " is not num_attention_heads = " + format(this->num_attention_heads),
                   "leave it out: in latent attention every head has its own keys");
  }
  if (first_k_dense_replace < 0) violations.add("model.first_k_dense_replace = " + format(first_k_dense_replace) + " is negative", "use the number of dense layers");
  if (this->rope_scaling.mscale_all_dim && this->rope_scaling.rope_type != nn::RopeType::kYarn) {
    violations.add("model.rope_scaling.mscale_all_dim belongs to rope_type yarn, not " + format(this->rope_scaling.rope_type), "set rope_type to yarn, or leave it out");
  }
  check_rope(this->rope_theta, this->rope_scaling, rotary(), violations);
  check_epsilon("rms_norm_eps", this->rms_norm_eps, violations);
  check_initializer_range(this->initializer_range, violations);
  check_experts("n_routed_experts", n_routed_experts, num_experts_per_tok, violations);
  check_parameter_count(3.0 * static_cast<double>(this->num_hidden_layers) * static_cast<double>(n_routed_experts) * static_cast<double>(this->hidden_size) *
                            static_cast<double>(moe_intermediate_size), violations);
  return true;
}

template <class Derived>
void DeepseekConfig<Derived>::check_groups(const nn::ExpertGroups& of, std::int64_t smallest, Violations& violations) const {
  const auto [groups, topk_group] = of;
  if (groups < 1 || n_routed_experts % groups != 0 || n_routed_experts / groups < smallest) {
    violations.add("model.n_group = " + format(groups) + " does not cut n_routed_experts = " + format(n_routed_experts) + " into equal groups of " + format(smallest) + " or more", "use a divisor");
    return;
  }
  if (topk_group < 1 || topk_group > groups) {
    violations.add("model.topk_group = " + format(topk_group) + " is not from 1 to n_group = " + format(groups), "use a number in that range");
    return;
  }
  if (const std::int64_t open = n_routed_experts / groups * topk_group; num_experts_per_tok > open) {
    violations.add("model.num_experts_per_tok = " + format(num_experts_per_tok) + " is more than the " + format(open) + " experts of topk_group groups", "use at most " + format(open));
  }
}

template class DeepseekConfig<DeepseekV2Config>;
template class DeepseekConfig<DeepseekV3Config>;

DeepseekV2Config::DeepseekV2Config() {
  vocab_size_ = 102400;
  max_position_embeddings = 2048;
  intermediate_size = 11008, moe_intermediate_size = 1407;
  n_routed_experts = 64, n_shared_experts = 2, num_experts_per_tok = 6;  // HF gives the last no default; 6 is that of every released V2
  bos_token_id = 1, eos_token_id = {2};
}

void DeepseekV2Config::read_hf(const Json& config, const std::string& where) {
  const HfConfig hf = read_deepseek(config, where);
  hf.require({"num_experts_per_tok"});  // without a default in HF's class
  hf.require_one_of("scoring_func", {"softmax"});
  hf.require_one_of("norm_topk_prob", {false, true, nullptr});  // of HF's class, whose router never looks at it
  hf.require_one_of("mlp_bias", {false});
}

OrderedJson DeepseekV2Config::write_hf(at::ScalarType dtype) const {
  OrderedJson config = write_deepseek("DeepseekV2ForCausalLM", "deepseek_v2", dtype);
  config["scoring_func"] = "softmax";
  config["norm_topk_prob"] = false;
  config["mlp_bias"] = false;
  return config;
}

void DeepseekV2Config::check(Violations& violations) const {
  if (!check_deepseek(violations)) return;
  if (hidden_size % num_attention_heads != 0) {  // HF's class asks for it
    violations.add("model.hidden_size = " + format(hidden_size) + " is not a multiple of num_attention_heads = " + format(num_attention_heads), "change one of them");
  }
  if (topk_method == TopkMethod::kGreedy) return;
  if (n_group && topk_group) check_groups({*n_group, *topk_group}, 1, violations);
  else violations.add("model.topk_method = group_limited_greedy, but n_group and topk_group are not both set", "set them, or use topk_method greedy");
}

DeepseekV3Config::DeepseekV3Config() {
  vocab_size_ = 129280, hidden_size = 7168, num_hidden_layers = 61, num_attention_heads = 128;
  intermediate_size = 18432, moe_intermediate_size = 2048;
  n_routed_experts = 256, n_shared_experts = 1, num_experts_per_tok = 8, first_k_dense_replace = 3;
  routed_scaling_factor = 2.5;
  bos_token_id = 0, eos_token_id = {1};
}

void DeepseekV3Config::read_hf(const Json& config, const std::string& where) {
  Json given = config;
  for (const char* flag : {"norm_topk_prob", "rope_interleave"}) {
    if (given.contains(flag) && given[flag].is_null()) given[flag] = false;  // as to HF's class
  }
  const HfConfig hf = read_deepseek(given, where);
  hf.require_one_of("scoring_func", {"sigmoid"});
  hf.require_one_of("topk_method", {"noaux_tc"});
}

void DeepseekV3Config::fit_to_checkpoint(const std::function<bool(const std::string& name)>& has_tensor) {
  if (!holds_predictor(has_tensor, num_hidden_layers)) num_nextn_predict_layers = 0;
  else if (num_nextn_predict_layers == 0) num_nextn_predict_layers = 1;
}

OrderedJson DeepseekV3Config::write_hf(at::ScalarType dtype) const {
  OrderedJson config = write_deepseek("DeepseekV3ForCausalLM", "deepseek_v3", dtype);
  config["scoring_func"] = "sigmoid";
  config["topk_method"] = "noaux_tc";
  return config;
}

void DeepseekV3Config::check(Violations& violations) const {
  if (!check_deepseek(violations)) return;
  check_groups({n_group, topk_group}, 2, violations);  // whose score is the sum of their two best
  if (num_nextn_predict_layers < 0 || num_nextn_predict_layers > 1) {
    violations.add("model.num_nextn_predict_layers = " + format(num_nextn_predict_layers) + " is not 0 or 1", "use 1, as the released models do, or 0");
  }
}

}  // namespace sluice::models
