#include "sluice/train/routing_target.h"

#include <cmath>

#include "sluice/base/rng.h"

namespace sluice::train {
namespace {

constexpr const char* kWeight = "routing_supervision.weight";
constexpr const char* kBias = "routing_supervision.bias";

}  // namespace

std::vector<nn::ParameterSpec> RoutingTarget::parameters(const loss::RoutingSupervisionConfig& config, std::int64_t num_experts) {
  if (config.weight == 0 || config.target != loss::Target::kLearned) return {};
  const auto num_labels = static_cast<std::int64_t>(config.categories.size());
  return {{kWeight, {num_experts, num_labels}, nn::Init::kZeros, nn::Keep::kFloat32, nn::Decay::kYes},
          {kBias, {num_experts}, nn::Init::kZeros, nn::Keep::kFloat32, nn::Decay::kNo}};
}

RoutingTarget::RoutingTarget(const loss::RoutingSupervisionConfig& config, std::vector<double> label_shares, std::int64_t num_experts,
                             nn::ParameterStore& store)
    : config_(config) {
  if (config.target == loss::Target::kLearned) {
    weight_ = &store.at(kWeight);
    bias_ = &store.at(kBias);
  } else {
    fixed_ = loss::balanced_preferences(label_shares, num_experts, config.smoothing, config.temperature).log();
  }
}

void RoutingTarget::initialise(std::uint64_t seed) {
  if (!weight_) return;
  const at::NoGradGuard no_grad;
  Rng rng(seed, 0x1abe1);
  const double limit = std::sqrt(6.0 / static_cast<double>(weight_->master.size(0) + weight_->master.size(1)));
  auto* value = weight_->master.data_ptr<float>();
  for (std::int64_t i = 0; i < weight_->master.numel(); ++i) value[i] = static_cast<float>((2 * rng.uniform() - 1) * limit);
  bias_->master.fill_(0.1);
}

at::Tensor RoutingTarget::log_preferences() const {
  return weight_ ? loss::learned_log_preferences(weight_->value, bias_->value, config_.temperature) : fixed_;
}

}  // namespace sluice::train
