#include "sluice/train/step.h"

#include <algorithm>
#include <array>

#include "sluice/loss/cross_entropy.h"

namespace sluice::train {
namespace {

// Each position's value is that of the next one in its document; kIgnored after the last.   x [tokens]
at::Tensor one_further(const at::Tensor& x, const nn::SequenceShape& shape) {
  const at::Tensor next = loss::shift_labels(x.view({shape.rows, shape.seq}));
  if (!shape.documents.empty()) next.index_fill_(0, at::tensor(shape.documents, at::kLong).slice(0, 1) - 1, loss::kIgnored);
  return next;
}

}  // namespace

StepResult Step::gradients(const std::vector<data::Batch>& micro_batches) {
  const dist::Mesh& mesh = parts_.mesh;
  std::vector<MicroBatch> batches;
  loss::Denominators denominators;
  double mtp_tokens = 0;
  for (const data::Batch& batch : micro_batches) {
    batches.push_back(part_of(batch, static_cast<std::int64_t>(batches.size())));
    denominators.add(batches.back().tensors);
    if (predicts_further()) mtp_tokens += static_cast<double>((batches.back().next_labels != loss::kIgnored).sum().item<std::int64_t>());
  }
  add_up(denominators);
  if (predicts_further()) mtp_tokens = mesh.replica->sum(mtp_tokens);
  const loss::ObjectiveConfig& objective = config_.objective;
  const bool whole_sequences = objective.aux_loss == loss::AuxLoss::kPerSequence;  // whose losses add up however the rows are cut
  if (whole_sequences) denominators.load_balance *= static_cast<double>(mesh.sizes.data);

  shared_.begin_step(static_cast<std::int64_t>(batches.size()));
  loss::GlobalFrequencies frequencies;
  if (objective.aux_coef != 0 && objective.aux_scope == loss::AuxScope::kGlobalBatch && !whole_sequences) {
    frequencies.frequency = Passes(config_, parts_, batches, denominators, mtp_tokens, optimizer_.steps_done()).count_choices();
    frequencies.tokens = denominators.real_tokens;
    add_up(frequencies.frequency);
    if (frequencies.frequency.defined()) denominators.frequencies = &frequencies, denominators.load_balance = 1;
  }
  Passes passes(config_, parts_, batches, denominators, mtp_tokens, optimizer_.steps_done());
  StepResult result = passes.run();
  chosen_counts_ = passes.chosen_counts();
  shared_.finish_gradients();
  add_up(result);
  result.tokens = static_cast<std::int64_t>(denominators.real_tokens);
  result.target_tokens = static_cast<std::int64_t>(denominators.target_tokens);
  result.grad_norm = shared_.grad_norm();
  return result;
}

MicroBatch Step::part_of(const data::Batch& batch, std::int64_t micro_batch) const {
  const loss::BatchTensors whole = loss::to_tensors(batch, config_.objective.supervision.tokens);
  MicroBatch out{parts_.seams.own_part(whole), {}, {}, {}};
  if (parts_.dropout && parts_.dropout->rate > 0) out.tokens = tokens_of(whole.shape, out.tensors.shape, micro_batch);
  if (!predicts_further()) return out;
  const auto own = [&](const at::Tensor& x) { return out.tensors.shape.whole ? parts_.seams.training().attention.own_positions(x, out.tensors.shape) : x; };
  out.next_ids = own(one_further(whole.ids, whole.shape).clamp_min(0));  // what follows a row's last token predicts nothing
  out.next_labels = own(one_further(whole.labels, whole.shape));
  return out;
}

std::vector<at::Tensor> Step::tokens_of(const nn::SequenceShape& whole, const nn::SequenceShape& own, std::int64_t micro_batch) const {
  const dist::Mesh& mesh = parts_.mesh;
  const nn::Seams& seams = parts_.seams.training();
  const std::int64_t first_row = (micro_batch * mesh.sizes.data + mesh.place.data) * whole.rows;
  const at::Tensor rows = at::bitwise_left_shift(at::arange(first_row, first_row + whole.rows), 32);
  const at::Tensor all = (rows.unsqueeze(1) + at::arange(whole.seq)).view({-1}), here = own.whole ? seams.attention.own_positions(all, own) : all;
  return {here, seams.tensor.share(here), all};
}

void Step::add_up(loss::Denominators& denominators) const {
  if (parts_.mesh.replica->alone()) return;
  const std::array<double*, 4> counts{&denominators.target_tokens, &denominators.target_weight, &denominators.real_tokens, &denominators.supervised_tokens};
  for (double* count : counts) *count = parts_.mesh.replica->sum(*count);
}

void Step::add_up(StepResult& result) {
  const dist::Mesh& mesh = parts_.mesh;
  if (mesh.world->alone()) return;
  monitor::Losses& l = result.losses;
  for (double* term : {&l.loss, &l.lm_loss, &l.aux_loss, &l.z_loss, &l.routing_supervision_loss, &result.chosen}) *term = mesh.world->sum(*term);
  if (predicts_further()) l.mtp_loss = mesh.world->sum(l.mtp_loss.value_or(0));
  add_up(result.expert_counts);
  add_up(chosen_counts_);
}

// Ranks of a pipeline without a mixture layer of their own have counted nothing.
void Step::add_up(at::Tensor& counts) const {
  const dist::Mesh& mesh = parts_.mesh;
  if (mesh.world->alone() || parts_.stages.num_mixtures() == 0) return;
  const auto rows = static_cast<std::int64_t>(mesh.world->max(counts.defined() ? static_cast<double>(counts.size(0)) : 0));
  if (rows == 0) return;
  if (!counts.defined()) counts = at::zeros({rows, parts_.stages.num_experts()});
  mesh.world->all_reduce(counts, dist::Reduce::kSum);
}

void Step::update(double lr, double grad_norm) {
  const dist::TraceWriter::Span traced(parts_.mesh.observers->trace, "update");
  optimizer_.step(lr, grad_norm);
  shared_.share_update();
  if (!chosen_counts_.defined()) return;
  const at::NoGradGuard no_grad;
  const std::int64_t rows = std::min(chosen_counts_.size(0), static_cast<std::int64_t>(config_.expert_biases.size()));
  for (std::int64_t i = 0; i < rows; ++i) {  // a predictor that is not trained routes nothing
    const std::string& bias = config_.expert_biases[static_cast<std::size_t>(i)];
    if (bias.empty() || store_.at(bias).spec.is_elsewhere()) continue;
    const at::Tensor counts = chosen_counts_[i];
    store_.at(bias).value.add_(at::sign(counts.mean() - counts), config_.expert_bias_update_rate);
  }
}

}  // namespace sluice::train
