// The preferences that routing supervision trains towards, and their life: made from the data, trained or fixed, saved, read back.
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "sluice/loss/routing_supervision.h"
#include "sluice/nn/parameter.h"

namespace sluice::train {

class RoutingTarget {
 public:
  // The parameters that the learned target adds to a model's: a label embedding. None for other targets.
  static std::vector<nn::ParameterSpec> parameters(const loss::RoutingSupervisionConfig& config, std::int64_t num_experts);

  // `label_shares`: how often each label occurs in the training data. The learned target's parameters are in `store`, which outlives this.
  RoutingTarget(const loss::RoutingSupervisionConfig& config, std::vector<double> label_shares, std::int64_t num_experts, nn::ParameterStore& store);

  // Gives the label embedding its first values (Xavier uniform and 0.1, as the original), from the seed alone.
  void initialise(std::uint64_t seed);

  // [labels, experts]; with gradient for the learned target, made anew at each call.
  at::Tensor log_preferences() const;

 private:
  loss::RoutingSupervisionConfig config_;
  at::Tensor fixed_;  // log preferences of the balanced target
  nn::Parameter *weight_ = nullptr, *bias_ = nullptr;
};

}  // namespace sluice::train
