// The sizes of Qwen2-MoE (arXiv:2407.10671) and Qwen3-MoE (arXiv:2505.09388), by HF's names.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sluice/models/decoder_config.h"
#include "sluice/models/qwen_moe/feed_forward.h"

namespace sluice::models {

class Qwen2MoeConfig final : public DecoderConfig<Qwen2MoeConfig>, public QwenFeedForwardConfig {
 public:
  bool qkv_bias = true, use_sliding_window = false;
  std::optional<std::int64_t> sliding_window = 4096;
  std::int64_t max_window_layers = 28;
  std::vector<std::string> layer_types;

  Qwen2MoeConfig() {
    vocab_size_ = 151936;
    hidden_size = 2048;
    num_hidden_layers = 24;
    num_attention_heads = 16;
    num_key_value_heads = 16;
    max_position_embeddings = 32768;
    shared_expert_intermediate_size = 5632;
  }

  void fields(auto&& field) {
    decoder_fields(field);
    feed_forward_fields(field);
    field("shared_expert_intermediate_size", *shared_expert_intermediate_size, "Inner width of the expert that every token meets.");
    field("qkv_bias", qkv_bias, "Whether queries, keys and values have a bias.");
    field("use_sliding_window", use_sliding_window, "Whether some layers see sliding_window positions only.");
    field("sliding_window", sliding_window, "Positions that a token of such a layer sees, itself included.");
    field("max_window_layers", max_window_layers,
          "Where layer_types is empty, every other layer before this one has a window, layer 0 first.");
    field("layer_types", layer_types, "full_attention or sliding_attention for each layer; empty = by max_window_layers.");
  }

  std::vector<std::string> types() const;         // one a layer
  std::int64_t window(std::int64_t layer) const;  // positions that its attention sees; 0 = all

  void read_hf(const Json& config, const std::string& where) override;
  OrderedJson write_hf(at::ScalarType dtype) const override;
  void check(Violations& violations) const override;
  std::vector<TensorSpec> tensor_table() const override;
  std::unique_ptr<Model> build(nn::ParameterStore& store) const override;
  MoeShape moe() const override { return moe_shape(num_hidden_layers); }
  Cost cost(std::int64_t seq) const override;
};

class Qwen3MoeConfig final : public DecoderConfig<Qwen3MoeConfig>, public QwenFeedForwardConfig {
 public:
  bool attention_bias = false, use_sliding_window = false;
  std::optional<std::int64_t> sliding_window = 4096;

  Qwen3MoeConfig() {
    vocab_size_ = 151936;
    hidden_size = 2048;
    num_hidden_layers = 24;
    num_attention_heads = 32;
    num_key_value_heads = 4;
    max_position_embeddings = 32768;
    intermediate_size = 6144;
    moe_intermediate_size = 768;
    num_experts = 128;
    num_experts_per_tok = 8;
  }

  void fields(auto&& field) {
    decoder_fields(field);
    feed_forward_fields(field);
    field("attention_bias", attention_bias, "Whether attention's four linears have a bias.");
    field("use_sliding_window", use_sliding_window, "Whether all layers see sliding_window positions only.");
    field("sliding_window", sliding_window, "Positions that a token then sees, itself included.");
  }

  void read_hf(const Json& config, const std::string& where) override;
  OrderedJson write_hf(at::ScalarType dtype) const override;
  void check(Violations& violations) const override;
  std::vector<TensorSpec> tensor_table() const override;
  std::unique_ptr<Model> build(nn::ParameterStore& store) const override;
  MoeShape moe() const override { return moe_shape(num_hidden_layers); }
  Cost cost(std::int64_t seq) const override;
};

}  // namespace sluice::models
