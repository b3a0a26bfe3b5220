// The sizes of a GLM-4.5 or 4.6 (arXiv:2508.06471), by HF's names.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sluice/models/decoder_config.h"

namespace sluice::models {

class Glm4MoeConfig final : public DecoderConfig<Glm4MoeConfig> {
 public:
  std::int64_t intermediate_size = 10944, moe_intermediate_size = 1408, n_routed_experts = 128, n_shared_experts = 1, num_experts_per_tok = 8;
  std::int64_t first_k_dense_replace = 1, n_group = 1, topk_group = 1;
  double routed_scaling_factor = 1, partial_rotary_factor = 0.5;
  bool norm_topk_prob = true, attention_bias = false, use_qk_norm = false;
  std::int64_t num_nextn_predict_layers = 0;

  Glm4MoeConfig() {
    vocab_size_ = 151552, num_hidden_layers = 46, num_attention_heads = 96;
    num_key_value_heads = 8;
    max_position_embeddings = 131072;
    rms_norm_eps = 1e-5;
  }

  void fields(auto&& field) {
    decoder_fields(field);
    field("intermediate_size", intermediate_size, "Inner width of the dense layers.");
    field("moe_intermediate_size", moe_intermediate_size, "Inner width of one expert.");
    field("n_routed_experts", n_routed_experts, "Experts of a layer that the router chooses from.");
    field("n_shared_experts", n_shared_experts, "Experts that every token meets, computed as one of n_shared_experts times the width.");
    field("num_experts_per_tok", num_experts_per_tok, "Experts a token goes to (top-k).");
    field("first_k_dense_replace", first_k_dense_replace, "Layers at the start without experts.");
    field("n_group", n_group, "Groups that the experts form.");
    field("topk_group", topk_group, "Groups a token may use.");
    field("routed_scaling_factor", routed_scaling_factor, "Factor on the weights of the chosen experts.");
    field("norm_topk_prob", norm_topk_prob, "Whether the weights of the chosen experts are divided by their sum.");
    field("partial_rotary_factor", partial_rotary_factor, "Part of a head's dimensions that rotates.");
    field("attention_bias", attention_bias, "Whether queries, keys and values have a bias.");
    field("use_qk_norm", use_qk_norm, "Whether each head's queries and keys are normed.");
    field("num_nextn_predict_layers", num_nextn_predict_layers, "1 = a block that predicts the token after the next (multi-token prediction); 0 = none.");
  }

  std::int64_t rotary() const override { return static_cast<std::int64_t>(static_cast<double>(head_size()) * partial_rotary_factor); }

  void read_hf(const Json& config, const std::string& where) override;
  void fit_to_checkpoint(const std::function<bool(const std::string& name)>& has_tensor) override;
  OrderedJson write_hf(at::ScalarType dtype) const override;
  void check(Violations& violations) const override;
  std::vector<TensorSpec> tensor_table() const override;
  std::unique_ptr<Model> build(nn::ParameterStore& store) const override;
  MoeShape moe() const override;
  Cost cost(std::int64_t seq) const override;

 private:
  void check_groups(Violations& violations) const;
};

}  // namespace sluice::models
