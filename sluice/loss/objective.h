// The training objective: language-model loss, load balance, router z-loss and supervised routing, each weighted, over one micro-batch.
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "sluice/data/batch.h"
#include "sluice/loss/load_balance.h"
#include "sluice/loss/routing_supervision.h"
#include "sluice/nn/forward.h"
#include "sluice/nn/head.h"

namespace sluice::loss {

struct ObjectiveConfig {
  AuxLoss aux_loss = AuxLoss::kHfPooled;
  AuxScope aux_scope = AuxScope::kMicroBatch;
  double aux_coef = 0, z_coef = 0;
  RoutingSupervisionConfig supervision;
};

// A batch as the model takes it.
struct BatchTensors {
  nn::SequenceShape shape;
  at::Tensor ids;     // [tokens], int64
  at::Tensor labels;  // [tokens], int64, shifted: what the next position holds, kIgnored = not counted
  at::Tensor weights;  // [tokens], float32: how much each label counts; undefined when all count 1
  at::Tensor real;    // [tokens], float32, 1 = real; undefined when all are
  at::Tensor expert_label;  // [tokens], int64: the label of the tokens that routing supervision covers, else -1
  // Of the tokens that this rank's routers see, where these are a share of the batch's; else as above.
  at::Tensor routed_real, routed_label;
  at::Tensor routed_row;  // [routed tokens], int64: each token's row; undefined where the routers see the whole batch
  double target_tokens = 0, target_weight = 0, real_tokens = 0, supervised_tokens = 0;
};
BatchTensors to_tensors(const data::Batch& batch, Tokens supervised);

// cross_entropy of the batch's labels, each times its weight.   hidden [tokens, hidden], after the final norm
at::Tensor weighted_cross_entropy(const at::Tensor& hidden, const nn::Head& head, const BatchTensors& batch, double scale);

// What the terms are divided by: sums over the whole global batch, so that the losses of its micro-batches add up to its loss.
struct Denominators {
  double target_tokens = 0, target_weight = 0, real_tokens = 0, supervised_tokens = 0;
  double load_balance = 0;                         // how many load balance losses their mean is taken of: the micro-steps'; 1 where they add up
  MixtureSpan span;                                // which mixture layers the routers at hand are of
  const GlobalFrequencies* frequencies = nullptr;  // that experts are chosen with, where the tokens of the batch at hand do not say it alone
  void add(const BatchTensors& batch);
};

// float64 scalars, each weighted; undefined = the term is not part of this objective.
struct Terms {
  at::Tensor lm, aux, z, routing, mtp;
  at::Tensor total() const;  // undefined where there is no term
};

// The terms of some mixture layers' routers over one micro-batch.
Terms router_terms(const ObjectiveConfig& config, const std::vector<nn::RouterRecord>& routers, const BatchTensors& batch, const at::Tensor& log_preferences,
                   const Denominators& denominators);

// The terms of one micro-batch. Under gradient mode head.grad has already been added to (cross_entropy); total().backward() does the rest.
//   hidden           [tokens, hidden], after the final norm
//   log_preferences  [labels, experts]; undefined without routing supervision
Terms objective(const ObjectiveConfig& config, const at::Tensor& hidden, const std::vector<nn::RouterRecord>& routers, const nn::Head& head,
                const BatchTensors& batch, const at::Tensor& log_preferences, const Denominators& denominators);

}  // namespace sluice::loss
