// The sizes of Qwen2 (arXiv:2407.10671; Qwen2.5 is the same) and Qwen3 (arXiv:2505.09388), by HF's names.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sluice/models/activation.h"
#include "sluice/models/decoder_config.h"
#include "sluice/models/llama/decoder.h"

namespace sluice::models {

// Which layers of a Qwen see a sliding window.
struct QwenWindow {
  bool use_sliding_window = false;
  std::optional<std::int64_t> sliding_window = 4096;
  std::int64_t max_window_layers = 28;
  std::vector<std::string> layer_types;

  // What is in force: nothing unless use_sliding_window.
  std::optional<std::int64_t> window() const { return use_sliding_window ? sliding_window : std::nullopt; }
  // One a layer: layer_types, or where that is empty sliding_attention from max_window_layers on.
  std::vector<std::string> types(std::int64_t num_layers) const;
  void write(OrderedJson& config, std::int64_t num_layers) const;
  void check(std::int64_t num_layers, Violations& violations) const;

  void window_fields(auto&& field) {
    field("use_sliding_window", use_sliding_window, "Whether some layers see sliding_window positions only.");
    field("sliding_window", sliding_window, "Positions that a token of such a layer sees, itself included.");
    field("max_window_layers", max_window_layers, "The first layer with a window, where layer_types is empty.");
    field("layer_types", layer_types, "full_attention or sliding_attention for each layer; empty = by max_window_layers.");
  }
};

class Qwen2Config final : public DecoderConfig<Qwen2Config>, public QwenWindow {
 public:
  std::int64_t intermediate_size = 22016;
  HfActivation hidden_act = HfActivation::kSilu;

  Qwen2Config() {
    vocab_size_ = 151936;
    num_key_value_heads = 32;
    max_position_embeddings = 32768;
  }

  void fields(auto&& field) {
    decoder_fields(field);
    field("intermediate_size", intermediate_size, "Inner width of the feed-forward layers.");
    field("hidden_act", hidden_act, kActivationHelp);
    window_fields(field);
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

class Qwen3Config final : public DecoderConfig<Qwen3Config>, public QwenWindow {
 public:
  std::int64_t intermediate_size = 22016;
  HfActivation hidden_act = HfActivation::kSilu;
  bool attention_bias = false;

  Qwen3Config() {
    vocab_size_ = 151936;
    num_key_value_heads = 32;
    head_dim = 128;
    max_position_embeddings = 32768;
  }

  void fields(auto&& field) {
    decoder_fields(field);
    field("intermediate_size", intermediate_size, "Inner width of the feed-forward layers.");
    field("hidden_act", hidden_act, kActivationHelp);
    field("attention_bias", attention_bias, "Whether the four linears of attention add a bias.");
    window_fields(field);
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
