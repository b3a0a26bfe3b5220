// The sizes of a Mixtral (Jiang et al., arXiv:2401.04088), by HF's names.
#pragma once
#include <cstdint>
#include <optional>

#include "sluice/models/model.h"

namespace sluice::models {

class MixtralConfig final : public ModelConfig {
 public:
  std::int64_t vocab_size_ = 32000, hidden_size = 4096, intermediate_size = 14336, num_hidden_layers = 32;
  std::int64_t num_attention_heads = 32, num_key_value_heads = 8, num_local_experts = 8, num_experts_per_tok = 2;
  std::optional<std::int64_t> head_dim;  // hidden_size / num_attention_heads when unset
  std::int64_t max_position_embeddings = 32768;
  double rope_theta = 1e6, rms_norm_eps = 1e-5, initializer_range = 0.02, router_aux_loss_coef = 0.001, router_jitter_noise = 0;
  bool tie_word_embeddings = false;
  std::optional<std::int64_t> bos_token_id, eos_token_id, pad_token_id;

  void fields(auto&& field) {
    field("vocab_size", vocab_size_, "Rows of the embedding and of the head.");
    field("hidden_size", hidden_size, "Width of the residual stream.");
    field("intermediate_size", intermediate_size, "Inner width of one expert.");
    field("num_hidden_layers", num_hidden_layers, "Layers, each with attention and a mixture.");
    field("num_attention_heads", num_attention_heads, "Query heads.");
    field("num_key_value_heads", num_key_value_heads, "Key and value heads; divides num_attention_heads.");
    field("head_dim", head_dim, "Width of a head; hidden_size / num_attention_heads when null.");
    field("num_local_experts", num_local_experts, "Experts of a layer.");
    field("num_experts_per_tok", num_experts_per_tok, "Experts a token goes to (top-k).");
    field("max_position_embeddings", max_position_embeddings, "Longest sequence, in tokens.");
    field("rope_theta", rope_theta, "Base of the rotary frequencies.");
    field("rms_norm_eps", rms_norm_eps, "Added to the mean square in norms.");
    field("initializer_range", initializer_range, "Standard deviation of random weights.");
    field("router_aux_loss_coef", router_aux_loss_coef, "Weight of the load balance loss, HF's definition; moe.router_aux_loss_coef overrides it.");
    field("router_jitter_noise", router_jitter_noise, "HF's training-time noise on the mixture's input; only 0 is supported.");
    field("tie_word_embeddings", tie_word_embeddings, "Whether the head is the embedding.");
    field("bos_token_id", bos_token_id, "Begin of sequence, written to config.json.");
    field("eos_token_id", eos_token_id, "End of sequence, written to config.json.");
    field("pad_token_id", pad_token_id, "Padding, written to config.json.");
  }

  std::int64_t head_size() const { return head_dim.value_or(num_attention_heads > 0 ? hidden_size / num_attention_heads : 0); }

  void read_hf(const Json& config, const std::string& where) override;
  OrderedJson write_hf(at::ScalarType dtype) const override;
  void apply(const std::vector<config::Setting>& settings, Violations& violations) override;
  std::string to_yaml() const override;
  void set_missing_token_ids(std::optional<std::int64_t> bos, std::optional<std::int64_t> eos, std::optional<std::int64_t> pad) override;
  void check(Violations& violations) const override;
  std::vector<TensorSpec> tensor_table() const override;
  std::unique_ptr<Model> build(nn::ParameterStore& store) const override;
  MoeShape moe() const override { return {num_hidden_layers, num_local_experts, num_experts_per_tok, router_aux_loss_coef}; }
  Cost cost(std::int64_t seq) const override;
  std::int64_t vocab_size() const override { return vocab_size_; }
  std::int64_t max_positions() const override { return max_position_embeddings; }
  std::int64_t num_layers() const override { return num_hidden_layers; }
  double init_std() const override { return initializer_range; }
};

}  // namespace sluice::models
