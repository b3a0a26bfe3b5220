// The sizes of Gemma and Gemma 2, by HF's names.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sluice/models/activation.h"
#include "sluice/models/decoder_config.h"
#include "sluice/models/gemma/decoder.h"

namespace sluice::models {

class GemmaConfig final : public DecoderConfig<GemmaConfig> {
 public:
  std::int64_t intermediate_size = 24576;
  HfActivation hidden_act = HfActivation::kGeluPytorchTanh;
  bool attention_bias = false;

  GemmaConfig() {
    vocab_size_ = 256000;
    hidden_size = 3072;
    num_hidden_layers = 28;
    num_attention_heads = 16;
    num_key_value_heads = 16;
    head_dim = 256;
    max_position_embeddings = 8192;
    tie_word_embeddings = true;
  }

  void fields(auto&& field) {
    decoder_fields(field);
    field("intermediate_size", intermediate_size, "Inner width of the feed-forward layers.");
    field("hidden_act", hidden_act, kActivationHelp);
    field("attention_bias", attention_bias, "Whether the four linears of attention add a bias.");
  }

  GemmaSizes sizes() const;
  void read_hf(const Json& config, const std::string& where) override;
  OrderedJson write_hf(at::ScalarType dtype) const override;
  void check(Violations& violations) const override;
  std::vector<TensorSpec> tensor_table() const override { return gemma_table(sizes()); }
  std::unique_ptr<Model> build(nn::ParameterStore& store) const override { return build_gemma(sizes(), rope_table(head_size()), store); }
  MoeShape moe() const override { return {}; }
  Cost cost(std::int64_t seq) const override { return gemma_cost(sizes(), seq); }
};

class Gemma2Config final : public DecoderConfig<Gemma2Config> {
 public:
  std::int64_t intermediate_size = 9216, query_pre_attn_scalar = 256;
  HfActivation hidden_activation = HfActivation::kGeluPytorchTanh;
  bool attention_bias = false;
  std::optional<std::int64_t> sliding_window = 4096;
  std::vector<std::string> layer_types;
  std::optional<double> attn_logit_softcapping = 50, final_logit_softcapping = 30;

  Gemma2Config() {
    vocab_size_ = 256000;
    hidden_size = 2304;
    num_hidden_layers = 26;
    num_attention_heads = 8;
    num_key_value_heads = 4;
    head_dim = 256;
    max_position_embeddings = 8192;
    tie_word_embeddings = true;
  }

  void fields(auto&& field) {
    decoder_fields(field);
    field("intermediate_size", intermediate_size, "Inner width of the feed-forward layers.");
    field("hidden_activation", hidden_activation, kActivationHelp);
    field("attention_bias", attention_bias, "Whether the four linears of attention add a bias.");
    field("query_pre_attn_scalar", query_pre_attn_scalar, "Attention's scores are divided by the square root of this.");
    field("attn_logit_softcapping", attn_logit_softcapping, "Bound that attention's scores approach by tanh; none when null.");
    field("final_logit_softcapping", final_logit_softcapping, "Bound that the logits approach by tanh; none when null.");
    field("sliding_window", sliding_window, "Positions that a token of a sliding_attention layer sees, itself included.");
    field("layer_types", layer_types, "full_attention or sliding_attention for each layer; empty = in turn, sliding_attention first.");
  }

  std::vector<std::string> types() const;
  GemmaSizes sizes() const;
  void read_hf(const Json& config, const std::string& where) override;
  OrderedJson write_hf(at::ScalarType dtype) const override;
  void check(Violations& violations) const override;
  std::vector<TensorSpec> tensor_table() const override { return gemma_table(sizes()); }
  std::unique_ptr<Model> build(nn::ParameterStore& store) const override { return build_gemma(sizes(), rope_table(head_size()), store); }
  MoeShape moe() const override { return {}; }
  Cost cost(std::int64_t seq) const override { return gemma_cost(sizes(), seq); }
};

}  // namespace sluice::models
