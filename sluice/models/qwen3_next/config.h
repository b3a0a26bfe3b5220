// The sizes of a Qwen3-Next, by HF's names.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sluice/models/decoder_config.h"
#include "sluice/models/qwen_moe/feed_forward.h"
#include "sluice/nn/gated_delta_net.h"

namespace sluice::models {

class Qwen3NextConfig final : public DecoderConfig<Qwen3NextConfig>, public QwenFeedForwardConfig {
 public:
  double partial_rotary_factor = 0.25;
  bool attention_bias = false;
  std::int64_t linear_num_key_heads = 16, linear_num_value_heads = 32, linear_key_head_dim = 128, linear_value_head_dim = 128, linear_conv_kernel_dim = 4;
  std::int64_t full_attention_interval = 4;
  std::vector<std::string> layer_types;
  std::int64_t num_nextn_predict_layers = 0;

  Qwen3NextConfig() {
    vocab_size_ = 151936;
    hidden_size = 2048;
    num_hidden_layers = 48;
    num_attention_heads = 16;
    num_key_value_heads = 2;
    head_dim = 256;
    max_position_embeddings = 32768;
    moe_intermediate_size = 512;
    num_experts = 512;
    num_experts_per_tok = 10;
    norm_topk_prob = true;
    shared_expert_intermediate_size = 512;
  }

  void fields(auto&& field) {
    decoder_fields(field);
    feed_forward_fields(field);
    field("shared_expert_intermediate_size", *shared_expert_intermediate_size, "Inner width of the expert that every token meets.");
    field("partial_rotary_factor", partial_rotary_factor, "Part of a head that is rotated.");
    field("attention_bias", attention_bias, "Whether attention's four linears have a bias.");
    field("linear_num_key_heads", linear_num_key_heads, "Key heads of a delta net.");
    field("linear_num_value_heads", linear_num_value_heads, "Value heads of a delta net; a multiple of linear_num_key_heads.");
    field("linear_key_head_dim", linear_key_head_dim, "Width of a delta net's query and key.");
    field("linear_value_head_dim", linear_value_head_dim, "Width of a delta net's value.");
    field("linear_conv_kernel_dim", linear_conv_kernel_dim, "Tokens under a delta net's convolution.");
    field("full_attention_interval", full_attention_interval, "Every such layer has attention, counted from 1, where layer_types is empty.");
    field("layer_types", layer_types, "linear_attention or full_attention for each layer; by full_attention_interval when empty.");
    field("num_nextn_predict_layers", num_nextn_predict_layers, "Blocks of multi-token prediction, 0 or 1.");
  }

  bool has_attention(std::int64_t layer) const;
  std::int64_t rotary() const override { return static_cast<std::int64_t>(static_cast<double>(head_size()) * partial_rotary_factor); }
  nn::DeltaNetSizes delta_net() const {
    return {linear_num_key_heads, linear_num_value_heads, linear_key_head_dim, linear_value_head_dim, linear_conv_kernel_dim, rms_norm_eps};
  }

  void read_hf(const Json& config, const std::string& where) override;
  void fit_to_checkpoint(const std::function<bool(const std::string& name)>& has_tensor) override;
  OrderedJson write_hf(at::ScalarType dtype) const override;
  void check(Violations& violations) const override;
  std::vector<TensorSpec> tensor_table() const override;
  std::unique_ptr<Model> build(nn::ParameterStore& store) const override;
  MoeShape moe() const override { return moe_shape(num_hidden_layers); }
  Cost cost(std::int64_t seq) const override;

 private:
  std::vector<std::string> layer_types_by_interval() const;
  void check_layers(Violations& violations) const;
};

}  // namespace sluice::models
