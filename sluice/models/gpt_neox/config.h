// The sizes of GPT-NeoX (Black et al., arXiv:2204.06745; Pythia, arXiv:2304.01373), by HF's names.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sluice/models/activation.h"
#include "sluice/models/decoder_config.h"

namespace sluice::models {

class GptNeoxConfig final : public FieldsConfig<GptNeoxConfig> {
 public:
  std::int64_t vocab_size_ = 50432, hidden_size = 6144, num_hidden_layers = 44, num_attention_heads = 64, intermediate_size = 24576;
  std::int64_t max_position_embeddings = 2048;
  HfActivation hidden_act = HfActivation::kGelu;
  double rotary_pct = 0.25, rotary_emb_base = 10000, layer_norm_eps = 1e-5, initializer_range = 0.02, attention_dropout = 0, hidden_dropout = 0;
  nn::RopeScaling rope_scaling;
  bool use_parallel_residual = true, attention_bias = true, tie_word_embeddings = false;

  void fields(auto&& field) {
    field("vocab_size", vocab_size_, "Rows of the embedding and of the head.");
    field("hidden_size", hidden_size, "Width of the residual stream.");
    field("num_hidden_layers", num_hidden_layers, "Layers.");
    field("num_attention_heads", num_attention_heads, "Heads of attention; divides hidden_size.");
    field("intermediate_size", intermediate_size, "Inner width of the feed-forward layers.");
    field("hidden_act", hidden_act, kActivationHelp);
    field("max_position_embeddings", max_position_embeddings, "Longest sequence, in tokens.");
    field("rotary_pct", rotary_pct, "The part of each head that is rotated.");
    field("rotary_emb_base", rotary_emb_base, "Base of the rotary frequencies.");
    field("rope_scaling", rope_scaling, "How rotary frequencies are stretched to longer texts.");
    field("layer_norm_eps", layer_norm_eps, "Added to the variance in norms.");
    field("initializer_range", initializer_range, "Standard deviation of random weights.");
    field("use_parallel_residual", use_parallel_residual, "Whether the feed-forward reads the layer's input, beside attention, not after it.");
    field("attention_bias", attention_bias, "Whether attention's linears add a bias.");
    field("tie_word_embeddings", tie_word_embeddings, "Whether the head is the embedding.");
    field("attention_dropout", attention_dropout, "Share of attention weights dropped in training; only 0 can be trained.");
    field("hidden_dropout", hidden_dropout, "Share of a layer's outputs dropped in training; only 0 can be trained.");
    token_id_fields(field);
  }

  std::int64_t head_size() const { return hidden_size / num_attention_heads; }
  // An odd number stands for the next even one, with frequencies of the odd one, as transformers has it.
  std::int64_t rotary_size() const { return static_cast<std::int64_t>(static_cast<double>(head_size()) * rotary_pct); }

  void read_hf(const Json& config, const std::string& where) override;
  OrderedJson write_hf(at::ScalarType dtype) const override;
  bool ignores(const std::string& hf_name) const override;
  void check(Violations& violations) const override;
  std::vector<TensorSpec> tensor_table() const override;
  std::unique_ptr<Model> build(nn::ParameterStore& store) const override;
  MoeShape moe() const override { return {}; }
  Cost cost(std::int64_t seq) const override;
  std::int64_t vocab_size() const override { return vocab_size_; }
  std::int64_t max_positions() const override { return longest_text(max_position_embeddings, rope_scaling); }
  std::int64_t num_layers() const override { return num_hidden_layers; }
  double init_std() const override { return initializer_range; }
  std::int64_t num_heads() const override { return num_attention_heads; }
};

}  // namespace sluice::models
