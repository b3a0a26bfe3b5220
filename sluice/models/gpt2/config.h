// The sizes of GPT-2 (Radford et al., 2019), by HF's names.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sluice/models/activation.h"
#include "sluice/models/decoder_config.h"

namespace sluice::models {

// HF's dropout rates (attn_pdrop and so on) are not settings: Sluice trains without dropout, and writes them as 0.
class Gpt2Config final : public FieldsConfig<Gpt2Config> {
 public:
  std::int64_t vocab_size_ = 50257, n_positions = 1024, n_embd = 768, n_layer = 12, n_head = 12;
  std::optional<std::int64_t> n_inner;
  HfActivation activation_function = HfActivation::kGeluNew;
  double layer_norm_epsilon = 1e-5, initializer_range = 0.02;
  bool scale_attn_weights = true, scale_attn_by_inverse_layer_idx = false, tie_word_embeddings = true;

  void fields(auto&& field) {
    field("vocab_size", vocab_size_, "Rows of the embedding and of the head.");
    field("n_positions", n_positions, "Longest sequence, in tokens: rows of the position embedding.");
    field("n_embd", n_embd, "Width of the residual stream.");
    field("n_layer", n_layer, "Layers.");
    field("n_head", n_head, "Heads of attention; divides n_embd.");
    field("n_inner", n_inner, "Inner width of the feed-forward layers; 4 * n_embd when null.");
    field("activation_function", activation_function, kActivationHelp);
    field("layer_norm_epsilon", layer_norm_epsilon, "Added to the variance in norms.");
    field("initializer_range", initializer_range, "Standard deviation of random weights.");
    field("scale_attn_weights", scale_attn_weights, "Whether attention's scores are divided by sqrt(n_embd / n_head).");
    field("scale_attn_by_inverse_layer_idx", scale_attn_by_inverse_layer_idx, "Whether those of layer i are also divided by i + 1.");
    field("tie_word_embeddings", tie_word_embeddings, "Whether the head is the embedding.");
    token_id_fields(field);
  }

  std::int64_t head_size() const { return n_embd / n_head; }
  std::int64_t ffn() const { return n_inner.value_or(4 * n_embd); }

  void read_hf(const Json& config, const std::string& where) override;
  OrderedJson write_hf(at::ScalarType dtype) const override;
  bool ignores(const std::string& hf_name) const override;
  void check(Violations& violations) const override;
  std::vector<TensorSpec> tensor_table() const override;
  std::unique_ptr<Model> build(nn::ParameterStore& store) const override;
  MoeShape moe() const override { return {}; }
  Cost cost(std::int64_t seq) const override;
  std::int64_t vocab_size() const override { return vocab_size_; }
  std::int64_t max_positions() const override { return n_positions; }
  std::int64_t num_layers() const override { return n_layer; }
  double init_std() const override { return initializer_range; }
  std::int64_t num_heads() const override { return n_head; }
};

}  // namespace sluice::models
