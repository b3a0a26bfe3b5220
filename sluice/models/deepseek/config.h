// The sizes of DeepSeek-V2 (arXiv:2405.04434; V2-Lite too) and DeepSeek-V3 (arXiv:2412.19437), by HF's names.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/models/decoder_config.h"
#include "sluice/models/deepseek/latent_attention.h"
#include "sluice/nn/router.h"

namespace sluice::models {

// What both have: latent attention, dense layers first, then mixtures with shared experts. Derived adds how tokens are routed, as
//   static constexpr bool kCorrectionBias   whether routers have one
//   num_predictors()                        0 or 1: multi-token prediction
//   rotary_pairs()                          which dimensions are rotated together
template <class Derived>
class DeepseekConfig : public DecoderConfig<Derived> {
 public:
  std::int64_t intermediate_size = 0, moe_intermediate_size = 0, n_routed_experts = 0, n_shared_experts = 0, num_experts_per_tok = 0;
  std::int64_t first_k_dense_replace = 0;
  std::optional<std::int64_t> q_lora_rank = 1536;
  std::int64_t kv_lora_rank = 512, qk_nope_head_dim = 128, qk_rope_head_dim = 64, v_head_dim = 128;
  double routed_scaling_factor = 1;
  bool attention_bias = false;

  LatentSizes attention_sizes() const;
  std::int64_t rotary() const override { return qk_rope_head_dim; }
  std::vector<TensorSpec> tensor_table() const override;
  MoeShape moe() const override;
  Cost cost(std::int64_t seq) const override;

 protected:
  void deepseek_fields(auto&& field) {
    this->decoder_fields(field);
    field("intermediate_size", intermediate_size, "Inner width of the dense layers.");
    field("moe_intermediate_size", moe_intermediate_size, "Inner width of one expert.");
    field("n_routed_experts", n_routed_experts, "Experts of a layer that the router chooses from.");
    field("n_shared_experts", n_shared_experts, "Experts that every token meets, computed as one of n_shared_experts times the width.");
    field("num_experts_per_tok", num_experts_per_tok, "Experts a token goes to (top-k).");
    field("first_k_dense_replace", first_k_dense_replace, "Layers at the start without experts.");
    field("q_lora_rank", q_lora_rank, "Width of the queries' latent vector; null = queries straight from the hidden state.");
    field("kv_lora_rank", kv_lora_rank, "Width of the latent vector of keys and values.");
    field("qk_nope_head_dim", qk_nope_head_dim, "Dimensions of a query or key without rotation.");
    field("qk_rope_head_dim", qk_rope_head_dim, "Dimensions of a query or key with rotation.");
    field("v_head_dim", v_head_dim, "Dimensions of a head's value.");
    field("routed_scaling_factor", routed_scaling_factor, "Factor on the weights of the chosen experts.");
    field("attention_bias", attention_bias, "Whether the products into the latents and out of attention have a bias.");
  }
  HfConfig read_deepseek(const Json& json, const std::string& where);
  OrderedJson write_deepseek(const char* hf_class, const char* model_type, at::ScalarType dtype) const;
  // False when a size is impossible.
  bool check_deepseek(Violations& violations) const;
  // `smallest` is how many experts a group must have.
  void check_groups(const nn::ExpertGroups& groups, std::int64_t smallest, Violations& violations) const;
};

enum class TopkMethod { kGreedy, kGroupLimitedGreedy };
constexpr std::array<std::string_view, 2> names(TopkMethod) { return {"greedy", "group_limited_greedy"}; }

class DeepseekV2Config final : public DeepseekConfig<DeepseekV2Config> {
 public:
  static constexpr bool kCorrectionBias = false;
  TopkMethod topk_method = TopkMethod::kGreedy;
  std::optional<std::int64_t> n_group, topk_group;  // of kGroupLimitedGreedy

  DeepseekV2Config();
  void fields(auto&& field) {
    deepseek_fields(field);
    field("topk_method", topk_method, "greedy: the best experts of all; group_limited_greedy: of the best topk_group of n_group groups.");
    field("n_group", n_group, "Groups that the experts form.");
    field("topk_group", topk_group, "Groups a token may use.");
  }
  std::int64_t num_predictors() const { return 0; }
  RotaryPairs rotary_pairs() const { return RotaryPairs::kNeighbours; }

  void read_hf(const Json& config, const std::string& where) override;
  OrderedJson write_hf(at::ScalarType dtype) const override;
  void check(Violations& violations) const override;
  std::unique_ptr<Model> build(nn::ParameterStore& store) const override;
};

class DeepseekV3Config final : public DeepseekConfig<DeepseekV3Config> {
 public:
  static constexpr bool kCorrectionBias = true;
  std::int64_t n_group = 8, topk_group = 4;
  bool norm_topk_prob = true, rope_interleave = true;
  std::int64_t num_nextn_predict_layers = 0;

  DeepseekV3Config();
  void fields(auto&& field) {
    deepseek_fields(field);
    field("n_group", n_group, "Groups that the experts form.");
    field("topk_group", topk_group, "Groups a token may use.");
    field("norm_topk_prob", norm_topk_prob, "Whether the weights of the chosen experts are divided by their sum.");
    field("rope_interleave", rope_interleave, "Whether dimensions 2i and 2i + 1 are rotated together, as released; else i and i + half of them.");
    field("num_nextn_predict_layers", num_nextn_predict_layers, "1 = a block that predicts the token after the next (multi-token prediction); 0 = none.");
  }
  std::int64_t num_predictors() const { return num_nextn_predict_layers; }
  RotaryPairs rotary_pairs() const { return rope_interleave ? RotaryPairs::kNeighbours : RotaryPairs::kHalves; }

  void read_hf(const Json& config, const std::string& where) override;
  void fit_to_checkpoint(const std::function<bool(const std::string& name)>& has_tensor) override;
  OrderedJson write_hf(at::ScalarType dtype) const override;
  void check(Violations& violations) const override;
  std::unique_ptr<Model> build(nn::ParameterStore& store) const override;
};

}  // namespace sluice::models
