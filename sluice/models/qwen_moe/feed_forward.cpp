#include "sluice/models/qwen_moe/feed_forward.h"

#include <algorithm>

#include "sluice/models/decoder_config.h"
#include "sluice/models/mixture.h"

namespace sluice::models {

bool QwenFeedForwardConfig::is_mixture(std::int64_t layer) const {
  return (layer + 1) % decoder_sparse_step == 0 && std::ranges::find(mlp_only_layers, layer) == mlp_only_layers.end();
}

MoeShape QwenFeedForwardConfig::moe_shape(std::int64_t num_layers) const {
  std::int64_t mixtures = 0;
  for (std::int64_t layer = 0; layer < num_layers; ++layer) mixtures += is_mixture(layer);
  return {mixtures, num_experts, num_experts_per_tok, router_aux_loss_coef, {}};
}

void QwenFeedForwardConfig::read_num_experts(const HfConfig& hf) {
  hf.refuse_null({"num_experts", "num_local_experts"});
  std::optional<std::int64_t> old_style, new_style;
  hf.read("num_experts", old_style);
  hf.read("num_local_experts", new_style);
  if (old_style && new_style && *old_style != *new_style) {
    throw Error(hf.where() + ": num_experts = " + std::to_string(*old_style) + " and num_local_experts = " + std::to_string(*new_style) + " disagree",
                "keep the one that the model was trained with in both places");
  }
  if (old_style || new_style) num_experts = old_style ? *old_style : *new_style;
}

bool QwenFeedForwardConfig::check_feed_forward(std::int64_t num_layers, std::int64_t hidden_size, Violations& violations) const {
  std::vector<NamedSize> sizes{{"intermediate_size", intermediate_size}, {"moe_intermediate_size", moe_intermediate_size}, {"num_experts", num_experts},
                               {"num_experts_per_tok", num_experts_per_tok}, {"decoder_sparse_step", decoder_sparse_step}};
  if (shared_expert_intermediate_size) sizes.emplace_back("shared_expert_intermediate_size", *shared_expert_intermediate_size);
  if (!check_sizes(sizes, violations)) return false;
  check_experts("num_experts", num_experts, num_experts_per_tok, violations);
  for (const std::int64_t layer : mlp_only_layers) {
    if (layer >= 0 && layer < num_layers) continue;
    violations.add("model.mlp_only_layers names layer " + std::to_string(layer) + ", and the model has " + std::to_string(num_layers) + " layers",
                   "use layers from 0 to " + std::to_string(num_layers - 1));
  }
  const auto of_expert = 3.0 * static_cast<double>(hidden_size) * static_cast<double>(moe_intermediate_size);
  check_parameter_count(static_cast<double>(num_layers) * static_cast<double>(num_experts) * of_expert, violations);
  return true;
}

void QwenFeedForwardConfig::add_mixture(std::vector<TensorSpec>& table, const std::string& ours, const std::string& hf, std::int64_t hidden_size) const {
  table.push_back(whole(router(ours + "router.weight", num_experts, hidden_size), Shard::kReplicated, hf + "mlp.gate.weight"));
  add_experts(table, ours + "experts", hf + "mlp.experts", {num_experts, moe_intermediate_size, hidden_size});
  if (!shared_expert_intermediate_size) return;
  add_gated_mlp(table, ours + "shared_expert", hf + "mlp.shared_expert", *shared_expert_intermediate_size, hidden_size);
  table.push_back(whole(router(ours + "shared_expert.gate.weight", 1, hidden_size), Shard::kReplicated, hf + "mlp.shared_expert_gate.weight"));
}

void QwenFeedForwardConfig::add_feed_forward(std::vector<TensorSpec>& table, const std::string& ours, const std::string& hf, std::int64_t layer,
                                             std::int64_t hidden_size) const {
  if (is_mixture(layer)) add_mixture(table, ours, hf, hidden_size);
  else add_gated_mlp(table, ours + "mlp", hf + "mlp", intermediate_size, hidden_size);
}

at::Tensor GatedSharedExpert::forward(const at::Tensor& hidden) const {
  return at::sigmoid(nn::router_logits(hidden, gate_)) * mlp_.forward(hidden).to(at::kFloat);
}

QwenMixture::QwenMixture(const QwenFeedForwardConfig& config, nn::ParameterStore& store, const std::string& prefix)
    : top_k_(config.num_experts_per_tok), weights_(config.norm_topk_prob ? nn::TopKWeights::kNormalised : nn::TopKWeights::kAsTheyAre),
      gate_(store.at(prefix + "router.weight")), experts_({store.at(prefix + "experts.gate_up.weight"), store.at(prefix + "experts.down.weight")}) {
  if (config.shared_expert_intermediate_size) shared_expert_.emplace(store, prefix + "shared_expert");
}

BlockOutput QwenMixture::forward(const at::Tensor& hidden, const nn::ForwardContext& context) const {
  const auto route = [this](const at::Tensor& x) { return nn::route_softmax_top_k(nn::router_logits(x, gate_), top_k_, weights_); };
  SharedExpert shared_expert;
  if (shared_expert_) shared_expert = [this](const at::Tensor& x) { return shared_expert_->forward(x); };
  MixtureOutput mixture = run_experts(hidden, route, experts_, nn::Scoring::kSoftmax, context, shared_expert);
  return {std::move(mixture.hidden), std::move(mixture.router)};
}

QwenFeedForward::QwenFeedForward(const QwenFeedForwardConfig& config, nn::ParameterStore& store, const std::string& prefix) {
  const nn::Parameter* experts = store.find(prefix + "experts.down.weight");
  precision_ = (experts ? *experts : store.at(prefix + "mlp.down_proj.weight")).value.scalar_type();
  if (experts) mixture_.emplace(config, store, prefix);
  else dense_.emplace(store, prefix + "mlp", nn::Activation::kSilu);
}

BlockOutput QwenFeedForward::forward(const at::Tensor& hidden, const nn::ForwardContext& context) const {
  if (mixture_) return mixture_->forward(hidden, context);
  return {context.seams.tensor.leave(dense_->forward(context.seams.tensor.enter(hidden)).to(at::kFloat)), std::nullopt};
}

}  // namespace sluice::models
