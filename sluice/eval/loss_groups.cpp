#include "sluice/eval/loss_groups.h"

#include <ATen/ATen.h>

#include <set>

#include "sluice/data/categories.h"
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

}  // namespace

void LossGroups::add(Sums& sums, const std::vector<std::int64_t>& group, const at::Tensor& hidden, const nn::Head& head, const at::Tensor& labels) {
  const at::Tensor groups = at::tensor(group, at::kLong);
  for (const std::int64_t one : std::set<std::int64_t>(group.begin(), group.end())) {
    if (one == kNoGroup) continue;
    const at::Tensor own = labels.masked_fill(groups != one, loss::kIgnored);
    const auto tokens = static_cast<double>((own != loss::kIgnored).sum().item<std::int64_t>());
    if (tokens == 0) continue;
    sums[one].loss += loss::cross_entropy(hidden, head, own, 1.0).item<double>();
    sums[one].tokens += tokens;
  }
}

void LossGroups::add(const at::Tensor& hidden, const nn::Head& head, const data::Batch& batch, const loss::BatchTensors& tensors) {
  const std::vector<std::int64_t> turns = turns_of(batch);
  add(turns_, turns, hidden, head, tensors.labels);
  add(categories_, categories_of(batch), hidden, head, tensors.labels);
}

void LossGroups::fill(monitor::Evaluation& evaluation) const {
  if (turns_.size() > 1) {
    for (const auto& [turn, sum] : turns_) evaluation.turn_loss.push_back(sum.loss / sum.tokens);
  }
  for (const auto& [label, sum] : categories_) evaluation.category_loss[std::string(data::kCategoryNames.at(static_cast<std::size_t>(label)))] = sum.loss / sum.tokens;
}

}  // namespace sluice::eval
