// The sizes of a gpt-oss (OpenAI, arXiv:2508.10925), by HF's names.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/models/decoder_config.h"

namespace sluice::models {

class GptOssConfig final : public DecoderConfig<GptOssConfig> {
 public:
  std::int64_t intermediate_size = 2880, num_local_experts = 128, num_experts_per_tok = 4;
  std::optional<std::int64_t> sliding_window = 128;
  std::vector<std::string> layer_types;  // empty = sliding and full by turns, sliding first
  double router_aux_loss_coef = 0.001;
  bool attention_bias = true;

  GptOssConfig() {
    vocab_size_ = 201088, hidden_size = 2880, num_hidden_layers = 36, num_attention_heads = 64;
    num_key_value_heads = 8, head_dim = 64;
    max_position_embeddings = 131072;
    rope_theta = 150000;
    rope_scaling = {.rope_type = nn::RopeType::kYarn, .factor = 32, .original_max_position_embeddings = 4096, .mscale = {}, .mscale_all_dim = {},
                    .attention_factor = {}, .truncate = false};
    rms_norm_eps = 1e-5;
  }

  void fields(auto&& field) {
    decoder_fields(field);
    field("intermediate_size", intermediate_size, "Inner width of one expert.");
    field("num_local_experts", num_local_experts, "Experts of a layer.");
    field("num_experts_per_tok", num_experts_per_tok, "Experts a token goes to (top-k).");
    field("sliding_window", sliding_window, "Positions that sliding_attention sees, a token's own among them.");
    field("layer_types", layer_types, "sliding_attention or full_attention for each layer; by turns when empty.");
    field("attention_bias", attention_bias, "Whether attention's four linears have a bias.");
    field("router_aux_loss_coef", router_aux_loss_coef, "Weight of the load balance loss, HF's definition; moe.router_aux_loss_coef overrides it.");
  }

  std::vector<std::string> types() const;  // one a layer
  // Positions that a layer's attention sees; 0 = all.
  std::int64_t window(std::int64_t layer) const;

  void read_hf(const Json& config, const std::string& where) override;
  OrderedJson write_hf(at::ScalarType dtype) const override;
  void check(Violations& violations) const override;
  std::vector<TensorSpec> tensor_table() const override;
  std::unique_ptr<Model> build(nn::ParameterStore& store) const override;
  MoeShape moe() const override { return {num_hidden_layers, num_local_experts, num_experts_per_tok, router_aux_loss_coef, {}}; }
  Cost cost(std::int64_t seq) const override;
};

}  // namespace sluice::models
