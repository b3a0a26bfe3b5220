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

// How many tokens of each group are trained on.
std::map<std::int64_t, std::int64_t> trained_tokens(const std::vector<std::int64_t>& group, const at::Tensor& labels) {
  std::map<std::int64_t, std::int64_t> out;
  const auto* label = labels.const_data_ptr<std::int64_t>();
  for (std::size_t i = 0; i < group.size(); ++i) {
    if (label[i] != loss::kIgnored) ++out[group[i]];
  }
  return out;
}

}  // namespace

void LossGroups::add(const at::Tensor& hidden, const nn::Head& head, const data::Batch& batch, const loss::BatchTensors& tensors, double sum) {
  for (const auto& [sums, groups] : {std::pair(&turns_, turns_of(batch)), {&categories_, categories_of(batch)}}) {
    const std::map<std::int64_t, std::int64_t> tokens = trained_tokens(groups, tensors.labels);
    const at::Tensor group = tokens.size() > 1 ? at::tensor(groups, at::kLong) : at::Tensor();
    for (const auto& [one, count] : tokens) {
      if (one == kNoGroup) continue;
      const bool whole = tokens.size() == 1;
      (*sums)[one].loss += whole ? sum : loss::cross_entropy(hidden, head, tensors.labels.masked_fill(group != one, loss::kIgnored), 1.0).item<double>();
      (*sums)[one].tokens += static_cast<double>(count);
    }
  }
}

void LossGroups::fill(monitor::Evaluation& evaluation, const data::Categories& categories) const {
  if (turns_.size() > 1) {
    for (const auto& [turn, sum] : turns_) evaluation.turn_loss.push_back(sum.loss / sum.tokens);
  }
  for (const auto& [label, sum] : categories_) evaluation.category_loss[categories.name(label)] = sum.loss / sum.tokens;
}

}  // namespace sluice::eval
