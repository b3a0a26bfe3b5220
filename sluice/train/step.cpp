#include "sluice/train/step.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "sluice/loss/cross_entropy.h"
#include "sluice/parallel/data.h"

namespace sluice::train {
namespace {

// Each position's value is that of the next one in its document; kIgnored after the last.   x [tokens]
at::Tensor one_further(const at::Tensor& x, const nn::SequenceShape& shape) {
  const at::Tensor next = loss::shift_labels(x.view({shape.rows, shape.seq}));
  if (!shape.documents.empty()) next.index_fill_(0, at::tensor(shape.documents, at::kLong).slice(0, 1) - 1, loss::kIgnored);
  return next;
}

// While it lives, adapters leave out inputs: those of forward pass number `pass`.
class DropoutPass {
 public:
  DropoutPass(nn::Dropout* dropout, std::uint64_t pass) : dropout_(dropout) {
    if (!dropout_) return;
    dropout_->pass = pass;
    dropout_->active = true;
  }
  ~DropoutPass() {
    if (dropout_) dropout_->active = false;
  }
  DropoutPass(const DropoutPass&) = delete;
  DropoutPass& operator=(const DropoutPass&) = delete;

 private:
  nn::Dropout* dropout_;
};

double value(const at::Tensor& term) { return term.defined() ? term.item<double>() : 0; }

}  // namespace

bool StepResult::finite() const { return std::isfinite(losses.loss) && std::isfinite(grad_norm); }

nn::ForwardContext Step::context(const loss::BatchTensors& batch) const {
  return {batch.shape, nn::local_seams(), nn::Mode::kTraining, config_.expert_capacity_factor};
}

StepResult Step::gradients(const std::vector<data::Batch>& micro_batches) {
  std::vector<loss::BatchTensors> batches;
  loss::Denominators denominators;
  for (const data::Batch& batch : micro_batches) {
    batches.push_back(loss::to_tensors(batch, config_.objective.supervision.tokens));
    denominators.add(batches.back());
  }
  add_up(denominators);
  loss::GlobalFrequencies frequencies;
  const bool whole_sequences = config_.objective.aux_loss == loss::AuxLoss::kPerSequence;  // a sequence is never cut: nothing to count beforehand
  const bool balances = config_.objective.aux_coef != 0 && !whole_sequences;
  if (balances && config_.objective.aux_scope == loss::AuxScope::kGlobalBatch) {
    frequencies = count_choices(batches, denominators.real_tokens);
    if (frequencies.frequency.defined()) denominators.frequencies = &frequencies, denominators.load_balance = 1;
  }
  const bool pools = balances && !denominators.frequencies && !replicas_.alone();
  if (whole_sequences) denominators.load_balance *= static_cast<double>(replicas_.size());

  const models::MultiTokenPredictor* further = predictor();
  double mtp_tokens = 0;
  for (const loss::BatchTensors& batch : batches) {
    if (further) mtp_tokens += static_cast<double>((one_further(batch.labels, batch.shape) != loss::kIgnored).sum().item<std::int64_t>());
  }
  if (further) mtp_tokens = replicas_.sum(mtp_tokens);
  store_.zero_grad();
  chosen_counts_.reset();
  StepResult result;
  for (std::size_t i = 0; i < batches.size(); ++i) {
    const loss::BatchTensors& batch = batches[i];
    const DropoutPass leaves_out(dropout_, pass_number(i, batches.size()));
    const parallel::Pass pass = parallel::forward(model_, batch.ids, context(batch), config_.recompute);
    if (pools && !pass.routers.empty()) {
      frequencies = pooled(pass.routers, batch);
      denominators.frequencies = &frequencies;
    }
    const at::Tensor log_preferences = target_ ? target_->log_preferences() : at::Tensor();
    loss::Terms terms = loss::objective(config_.objective, pass.hidden, pass.routers, model_.head(), batch, log_preferences, denominators);
    std::vector<nn::RouterRecord> routers = pass.routers;
    if (further) terms.mtp = predict_further(*further, pass, batch, mtp_tokens, routers);
    const at::Tensor total = terms.total();
    total.backward();
    result.losses.lm_loss += value(terms.lm);
    result.losses.aux_loss += value(terms.aux);
    result.losses.z_loss += value(terms.z);
    result.losses.routing_supervision_loss += value(terms.routing);
    if (terms.mtp.defined()) result.losses.mtp_loss = result.losses.mtp_loss.value_or(0) + value(terms.mtp);
    result.losses.loss += value(total);
    if (pass.routers.empty()) continue;
    if (config_.expert_bias_update_rate != 0) {
      const at::Tensor chosen = loss::chosen_counts(routers, batch.real);
      chosen_counts_ = chosen_counts_.defined() ? chosen_counts_ + chosen : chosen;
    }
    for (const nn::RouterRecord& router : pass.routers) result.chosen += batch.real_tokens * static_cast<double>(router.chosen.size(1));
    const at::Tensor counts = loss::served_counts(pass.routers, batch.real);
    result.expert_counts = result.expert_counts.defined() ? result.expert_counts + counts : counts;
  }
  parallel::sum_gradients(store_, replicas_);
  add_up(result);
  result.tokens = static_cast<std::int64_t>(denominators.real_tokens);
  result.target_tokens = static_cast<std::int64_t>(denominators.target_tokens);
  result.grad_norm = optimizer_.grad_norm();
  return result;
}

std::uint64_t Step::pass_number(std::size_t micro_batch, std::size_t count) const {
  const std::uint64_t here = static_cast<std::uint64_t>(optimizer_.steps_done()) * count + micro_batch;
  return here * static_cast<std::uint64_t>(replicas_.size()) + static_cast<std::uint64_t>(replicas_.rank());
}

void Step::add_up(loss::Denominators& denominators) const {
  if (replicas_.alone()) return;
  const std::array<double*, 4> counts{&denominators.target_tokens, &denominators.target_weight, &denominators.real_tokens, &denominators.supervised_tokens};
  for (double* count : counts) *count = replicas_.sum(*count);
}

void Step::add_up(StepResult& result) {
  if (replicas_.alone()) return;
  monitor::Losses& l = result.losses;
  for (double* term : {&l.loss, &l.lm_loss, &l.aux_loss, &l.z_loss, &l.routing_supervision_loss, &result.chosen}) *term = replicas_.sum(*term);
  if (l.mtp_loss) l.mtp_loss = replicas_.sum(*l.mtp_loss);
  for (const at::Tensor& counts : {result.expert_counts, chosen_counts_}) {
    if (counts.defined()) replicas_.all_reduce(counts, dist::Reduce::kSum);
  }
}

loss::GlobalFrequencies Step::pooled(const std::vector<nn::RouterRecord>& routers, const loss::BatchTensors& batch) const {
  const at::Tensor counts = loss::chosen_counts(routers, batch.real);
  replicas_.all_reduce(counts, dist::Reduce::kSum);
  const double tokens = replicas_.sum(batch.real_tokens);
  return {counts / tokens, tokens};
}

const models::MultiTokenPredictor* Step::predictor() const { return config_.mtp_loss_scaling_factor == 0 ? nullptr : model_.multi_token_predictor(); }

at::Tensor Step::predict_further(const models::MultiTokenPredictor& predictor, const parallel::Pass& pass, const loss::BatchTensors& batch, double mtp_tokens,
                                 std::vector<nn::RouterRecord>& routers) const {
  const at::Tensor next_ids = one_further(batch.ids, batch.shape).clamp_min(0);  // what follows a row's last token predicts nothing
  models::BlockOutput out = predictor.forward(pass.hidden, next_ids, context(batch));
  if (out.router) routers.push_back(std::move(*out.router));
  return loss::cross_entropy(out.hidden, model_.head(), one_further(batch.labels, batch.shape), config_.mtp_loss_scaling_factor / std::max(1.0, mtp_tokens));
}

void Step::update(double lr, double grad_norm) {
  optimizer_.step(lr, grad_norm);
  if (!chosen_counts_.defined()) return;
  const at::NoGradGuard no_grad;
  for (std::int64_t i = 0; i < chosen_counts_.size(0); ++i) {  // a predictor that is not trained routes nothing
    const std::string& bias = config_.expert_biases[static_cast<std::size_t>(i)];
    if (bias.empty()) continue;
    const at::Tensor counts = chosen_counts_[i];
    store_.at(bias).value.add_(at::sign(counts.mean() - counts), config_.expert_bias_update_rate);
  }
}

loss::GlobalFrequencies Step::count_choices(const std::vector<loss::BatchTensors>& batches, double real_tokens) const {
  const at::NoGradGuard no_grad;
  loss::GlobalFrequencies frequencies{{}, real_tokens};
  for (std::size_t i = 0; i < batches.size(); ++i) {
    const loss::BatchTensors& batch = batches[i];
    const DropoutPass leaves_out(dropout_, pass_number(i, batches.size()));
    const parallel::Pass pass = parallel::forward(model_, batch.ids, context(batch), parallel::Recompute::kNone);
    if (pass.routers.empty()) break;
    const at::Tensor counts = loss::chosen_counts(pass.routers, batch.real) / real_tokens;
    frequencies.frequency = frequencies.frequency.defined() ? frequencies.frequency + counts : counts;
  }
  if (frequencies.frequency.defined()) replicas_.all_reduce(frequencies.frequency, dist::Reduce::kSum);
  return frequencies;
}

}  // namespace sluice::train
