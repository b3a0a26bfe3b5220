#include "sluice/eval/loss_groups.h"

#include <ATen/ATen.h>

#include <set>

#include "sluice/loss/cross_entropy.h"

namespace sluice::eval {
namespace {

constexpr std::int64_t kNoGroup = -1;

// For each token that follows position t and is trained on, which answer of its conversation it belongs to, at t.
std::vector<std::int64_t> turns_of(const data::Batch& batch) {
  const std::set<std::int64_t> borders(batch.documents.begin(), batch.documents.end());
  std::vector<std::int64_t> out(batch.labels.size(), kNoGroup);
  std::int64_t turn = kNoGroup;
  bool inside = false;
  for (std::int64_t i = 0; i < batch.rows * batch.seq; ++i) {
    const bool starts = borders.empty() ? i % batch.seq == 0 : borders.contains(i);
    if (starts) turn = kNoGroup, inside = false;
    const bool trained = batch.labels[static_cast<std::size_t>(i)] != data::kNotTrained;
    if (trained && !inside) ++turn;
    inside = trained;
    if (trained && i > 0) out[static_cast<std::size_t>(i - 1)] = turn;
  }
  return out;
}

std::vector<std::int64_t> categories_of(const data::Batch& batch) {
  std::vector<std::int64_t> out;
  for (std::int64_t i = 0; i < batch.rows * batch.seq; ++i) out.push_back(batch.expert_label[static_cast<std::size_t>(i / batch.seq)]);
  return out;
}

// What the tokens of each group that are trained on weigh together.
std::map<std::int64_t, double> trained_weight(const std::vector<std::int64_t>& group, const loss::BatchTensors& batch) {
  std::map<std::int64_t, double> out;
  const auto* label = batch.labels.const_data_ptr<std::int64_t>();
  const auto* weight = batch.weights.defined() ? batch.weights.const_data_ptr<float>() : nullptr;
  for (std::size_t i = 0; i < group.size(); ++i) {
    if (label[i] != loss::kIgnored) out[group[i]] += weight ? static_cast<double>(weight[i]) : 1;
  }
  return out;
}

// `batch` with the labels of one group alone.
loss::BatchTensors only(loss::BatchTensors batch, const at::Tensor& group, std::int64_t one) {
  batch.labels = batch.labels.masked_fill(group != one, loss::kIgnored);
  return batch;
}

}  // namespace

void LossGroups::add(const at::Tensor& hidden, const nn::Head& head, const data::Batch& batch, const loss::BatchTensors& tensors, double sum) {
  for (const auto& [sums, groups] : {std::pair(&turns_, turns_of(batch)), {&categories_, categories_of(batch)}}) {
    const std::map<std::int64_t, double> weights = trained_weight(groups, tensors);
    const at::Tensor group = weights.size() > 1 ? at::tensor(groups, at::kLong) : at::Tensor();
    for (const auto& [one, weight] : weights) {
      if (one == kNoGroup) continue;
      const bool whole = weights.size() == 1;
      (*sums)[one].loss += whole ? sum : loss::weighted_cross_entropy(hidden, head, only(tensors, group, one), 1.0).item<double>();
      (*sums)[one].weight += weight;
    }
  }
}

void LossGroups::fill(monitor::Evaluation& evaluation, const data::Categories& categories) const {
  if (turns_.size() > 1) {
    for (const auto& [turn, sum] : turns_) evaluation.turn_loss.push_back(sum.loss / sum.weight);
  }
  for (const auto& [label, sum] : categories_) evaluation.category_loss[categories.name(label)] = sum.loss / sum.weight;
}

}  // namespace sluice::eval
