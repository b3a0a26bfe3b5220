// The sizes of an OLMoE (Muennighoff et al., arXiv:2409.02060), by HF's names.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "sluice/models/decoder_config.h"

namespace sluice::models {

class OlmoeConfig final : public DecoderConfig<OlmoeConfig> {
 public:
  std::int64_t intermediate_size = 2048, num_experts = 64, num_experts_per_tok = 8;
  bool norm_topk_prob = false, attention_bias = false;
  std::optional<double> clip_qkv;
  double router_aux_loss_coef = 0.01;

  OlmoeConfig() {
    vocab_size_ = 50304;
    hidden_size = 2048;
    num_hidden_layers = 16;
    num_attention_heads = 16;
    rms_norm_eps = 1e-5;
    eos_token_id = {50279};
    pad_token_id = 1;
  }

  void fields(auto&& field) {
    decoder_fields(field);
    field("intermediate_size", intermediate_size, "Inner width of one expert.");
    field("num_experts", num_experts, "Experts of a layer.");
    field("num_experts_per_tok", num_experts_per_tok, "Experts a token goes to (top-k).");
    field("norm_topk_prob", norm_topk_prob, "Whether the weights of a token's experts are divided by their sum.");
    field("attention_bias", attention_bias, "Whether attention's four linears have a bias.");
    field("clip_qkv", clip_qkv, "Largest magnitude of an element of queries, keys and values; no limit when null.");
    field("router_aux_loss_coef", router_aux_loss_coef, "Weight of the load balance loss, HF's definition; moe.router_aux_loss_coef overrides it.");
  }

  void read_hf(const Json& config, const std::string& where) override;
  OrderedJson write_hf(at::ScalarType dtype) const override;
  void check(Violations& violations) const override;
  std::vector<TensorSpec> tensor_table() const override;
  std::unique_ptr<Model> build(nn::ParameterStore& store) const override;
  MoeShape moe() const override { return {num_hidden_layers, num_experts, num_experts_per_tok, router_aux_loss_coef, {}}; }
  Cost cost(std::int64_t seq) const override;
};

}  // namespace sluice::models
