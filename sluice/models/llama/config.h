// The sizes of Llama (arXiv:2302.13971, arXiv:2407.21783) and Mistral (Jiang et al., arXiv:2310.06825), by HF's names.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "sluice/models/activation.h"
#include "sluice/models/decoder_config.h"
#include "sluice/models/llama/decoder.h"

namespace sluice::models {

class LlamaConfig final : public DecoderConfig<LlamaConfig> {
 public:
  std::int64_t intermediate_size = 11008;
  HfActivation hidden_act = HfActivation::kSilu;
  bool attention_bias = false, mlp_bias = false;

  LlamaConfig() { max_position_embeddings = 2048; }

  void fields(auto&& field) {
    decoder_fields(field);
    field("intermediate_size", intermediate_size, "Inner width of the feed-forward layers.");
    field("hidden_act", hidden_act, kActivationHelp);
    field("attention_bias", attention_bias, "Whether the four linears of attention add a bias.");
    field("mlp_bias", mlp_bias, "Whether the three linears of the feed-forward layers add a bias.");
  }

  LlamaSizes sizes() const;
  void read_hf(const Json& config, const std::string& where) override;
  OrderedJson write_hf(at::ScalarType dtype) const override;
  void check(Violations& violations) const override;
  std::vector<TensorSpec> tensor_table() const override { return llama_table(sizes()); }
  std::unique_ptr<Model> build(nn::ParameterStore& store) const override { return build_llama(sizes(), rope_table(head_size()), store); }
  MoeShape moe() const override { return {}; }
  Cost cost(std::int64_t seq) const override { return llama_cost(sizes(), seq); }
};

class MistralConfig final : public DecoderConfig<MistralConfig> {
 public:
  std::int64_t intermediate_size = 14336;
  HfActivation hidden_act = HfActivation::kSilu;
  std::optional<std::int64_t> sliding_window = 4096;

  MistralConfig() {
    num_key_value_heads = 8;
    max_position_embeddings = 131072;
  }

  void fields(auto&& field) {
    decoder_fields(field);
    field("intermediate_size", intermediate_size, "Inner width of the feed-forward layers.");
    field("hidden_act", hidden_act, kActivationHelp);
    field("sliding_window", sliding_window, "Positions that a token sees, itself included; all before it when null.");
  }

  LlamaSizes sizes() const;
  void read_hf(const Json& config, const std::string& where) override;
  OrderedJson write_hf(at::ScalarType dtype) const override;
  void check(Violations& violations) const override;
  std::vector<TensorSpec> tensor_table() const override { return llama_table(sizes()); }
  std::unique_ptr<Model> build(nn::ParameterStore& store) const override { return build_llama(sizes(), rope_table(head_size()), store); }
  MoeShape moe() const override { return {}; }
  Cost cost(std::int64_t seq) const override { return llama_cost(sizes(), seq); }
};

}  // namespace sluice::models
