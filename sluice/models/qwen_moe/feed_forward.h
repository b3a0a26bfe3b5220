// The feed-forward part of a layer of Qwen2-MoE, Qwen3-MoE and Qwen3-Next: dense, or a mixture; some with an expert that every token meets,
// behind a gate of its own (arXiv:2407.10671, section 2.2.2).
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sluice/base/error.h"
#include "sluice/models/hf_config.h"
#include "sluice/models/model.h"
#include "sluice/nn/experts.h"
#include "sluice/nn/mlp.h"

namespace sluice::models {

// Sizes by HF's names; a part of the three families' configs.
struct QwenFeedForwardConfig {
  std::int64_t intermediate_size = 5632, moe_intermediate_size = 1408, num_experts = 60, num_experts_per_tok = 4, decoder_sparse_step = 1;
  std::vector<std::int64_t> mlp_only_layers;
  bool norm_topk_prob = false;
  double router_aux_loss_coef = 0.001;
  std::optional<std::int64_t> shared_expert_intermediate_size;  // unset = the family has no shared expert

  bool is_mixture(std::int64_t layer) const;
  MoeShape moe_shape(std::int64_t num_layers) const;
  // num_experts from the key of transformers 4.x or num_local_experts, which 5.x writes for Qwen3-MoE. Error when both are there and disagree.
  void read_num_experts(const HfConfig& hf);
  // False when a size is impossible, and rules that multiply sizes must not run.
  bool check_feed_forward(std::int64_t num_layers, std::int64_t hidden_size, Violations& violations) const;
  // Of layer prefixes `ours` ("layers.3.") and `hf` ("model.layers.3.").
  void add_mixture(std::vector<TensorSpec>& table, const std::string& ours, const std::string& hf, std::int64_t hidden_size) const;
  void add_feed_forward(std::vector<TensorSpec>& table, const std::string& ours, const std::string& hf, std::int64_t layer, std::int64_t hidden_size) const;

 protected:
  void feed_forward_fields(auto&& field) {
    field("intermediate_size", intermediate_size, "Inner width of dense layers.");
    field("moe_intermediate_size", moe_intermediate_size, "Inner width of one expert.");
    field("num_experts", num_experts, "Experts of a mixture layer.");
    field("num_experts_per_tok", num_experts_per_tok, "Experts a token goes to (top-k).");
    field("decoder_sparse_step", decoder_sparse_step, "Every such layer is a mixture, counted from 1; the others are dense.");
    field("mlp_only_layers", mlp_only_layers, "Layers, counted from 0, that are dense whatever decoder_sparse_step says.");
    field("norm_topk_prob", norm_topk_prob, "Whether the weights of a token's experts are divided by their sum.");
    field("router_aux_loss_coef", router_aux_loss_coef, "Weight of the load balance loss, HF's definition; moe.router_aux_loss_coef overrides it.");
  }
};

// An expert that every token meets: sigmoid(gate(x)) * mlp(x), from `name`.gate.weight [1, hidden] and the linears of GatedMlp.
class GatedSharedExpert {
 public:
  GatedSharedExpert(nn::ParameterStore& store, const std::string& name) : gate_(store.at(name + ".gate.weight")), mlp_(store, name, nn::Activation::kSilu) {}
  at::Tensor forward(const at::Tensor& hidden) const;  // [tokens, hidden] -> the same in float32

 private:
  const nn::Parameter& gate_;
  nn::GatedMlp mlp_;
};

// Routed experts, and the shared one where the table has it. `prefix` is the layer's: "layers.3.".
class QwenMixture {
 public:
  QwenMixture(const QwenFeedForwardConfig& config, nn::ParameterStore& store, const std::string& prefix);
  BlockOutput forward(const at::Tensor& hidden, const nn::ForwardContext& context) const;  // [tokens, hidden] -> the same in float32

 private:
  std::int64_t top_k_;
  nn::TopKWeights weights_;
  const nn::Parameter& gate_;
  nn::Experts experts_;
  std::optional<GatedSharedExpert> shared_expert_;
};

// A layer's mixture or dense SwiGLU, whichever the table has.
class QwenFeedForward {
 public:
  QwenFeedForward(const QwenFeedForwardConfig& config, nn::ParameterStore& store, const std::string& prefix);
  BlockOutput forward(const at::Tensor& hidden, const nn::ForwardContext& context) const;  // as QwenMixture::forward
  at::ScalarType precision() const { return precision_; }                                    // of the products

 private:
  std::optional<QwenMixture> mixture_;  // one of the two
  std::optional<nn::GatedMlp> dense_;
  at::ScalarType precision_;
};

}  // namespace sluice::models
