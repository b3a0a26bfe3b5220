// The sizes of a Mixtral (Jiang et al., arXiv:2401.04088), by HF's names.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "sluice/models/decoder_config.h"

namespace sluice::models {

class MixtralConfig final : public DecoderConfig<MixtralConfig> {
 public:
  std::int64_t intermediate_size = 14336, num_local_experts = 8, num_experts_per_tok = 2;
  std::optional<std::int64_t> sliding_window;
  double router_aux_loss_coef = 0.001, router_jitter_noise = 0;

  MixtralConfig() {
    num_key_value_heads = 8;
    max_position_embeddings = 32768;
    rope_theta = 1e6;
    rms_norm_eps = 1e-5;
  }

  void fields(auto&& field) {
    decoder_fields(field);
    field("intermediate_size", intermediate_size, "Inner width of one expert.");
    field("num_local_experts", num_local_experts, "Experts of a layer.");
    field("num_experts_per_tok", num_experts_per_tok, "Experts a token goes to (top-k).");
    field("sliding_window", sliding_window, "Positions that a token sees, itself included; all before it when null.");
    field("router_aux_loss_coef", router_aux_loss_coef, "Weight of the load balance loss, HF's definition; moe.router_aux_loss_coef overrides it.");
    field("router_jitter_noise", router_jitter_noise, "Noise on the mixture's input in training; only 0 can be trained.");
  }

  void read_hf(const Json& config, const std::string& where) override;
  OrderedJson write_hf(at::ScalarType dtype) const override;
  void check(Violations& violations) const override;
  std::vector<TensorSpec> tensor_table() const override;
  std::unique_ptr<Model> build(nn::ParameterStore& store) const override;
  MoeShape moe() const override { return {num_hidden_layers, num_local_experts, num_experts_per_tok, router_aux_loss_coef, {}}; }
  Cost cost(std::int64_t seq) const override;
};

}  // namespace sluice::models
