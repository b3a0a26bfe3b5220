#include "sluice/train/passes.h"

#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>

#include "sluice/loss/cross_entropy.h"

namespace sluice::train {
namespace {

// While it lives, adapters leave out inputs, those of a micro-batch of a step.
class DropoutPass {
 public:
  DropoutPass(nn::Dropout* dropout, std::int64_t step, const MicroBatch& batch) : dropout_(dropout) {
    if (!dropout_) return;
    dropout_->step = static_cast<std::uint64_t>(step);
    dropout_->tokens = batch.tokens;
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

// counts [layers, experts] as rows first, first + 1, ... of `all`, which is made where it is not there yet.
void add_rows(at::Tensor& all, const at::Tensor& counts, std::int64_t first, std::int64_t rows) {
  if (!all.defined()) all = at::zeros({rows, counts.size(1)});
  all.narrow(0, first, counts.size(0)).add_(counts);
}

}  // namespace

bool StepResult::finite() const { return std::isfinite(losses.loss) && std::isfinite(grad_norm); }

Passes::Passes(const StepConfig& config, const StepParts& parts, const std::vector<MicroBatch>& batches, const loss::Denominators& denominators, double mtp_tokens,
               std::int64_t step)
    : config_(config), parts_(parts), batches_(batches), denominators_(denominators), mtp_tokens_(mtp_tokens), step_(step) {}

parallel::PipelineShape Passes::shape() const { return {parts_.stages.ranks(), parts_.stages.chunks(), static_cast<std::int64_t>(batches_.size())}; }

StepResult Passes::run() {
  const dist::Group& pipeline = *parts_.mesh.pipeline;
  if (parallel::SecondLane* beside = parts_.beside) {
    parallel::run_overlapped(shape(), pipeline, *beside->lane().mesh.pipeline, *this, [beside](const auto& here, const auto& there) { beside->run(here, there); });
  } else {
    parallel::run_pipeline(shape(), pipeline, *this);
  }
  return result_;
}

at::Tensor Passes::count_choices() {
  const at::NoGradGuard no_grad;
  counts_only_ = true;
  parallel::run_forward(shape(), *parts_.mesh.pipeline, *this);
  counts_only_ = false;
  return counted_;
}

parallel::Lane Passes::lane_of(const parallel::Action& pass) const { return pass.lane == 0 ? parallel::Lane{parts_.mesh, parts_.seams} : parts_.beside->lane(); }

parallel::Activations Passes::activation_settings(const parallel::Lane& lane) const {
  parallel::Activations out = config_.activations;
  if (out.shared_by) out.shared_by = lane.mesh.tensor.get();
  return out;
}

nn::ForwardContext Passes::context(const loss::BatchTensors& batch, const parallel::Lane& lane) const {
  return {batch.shape, lane.seams.training(), nn::Mode::kTraining, config_.expert_capacity_factor};
}

nn::Head Passes::head(const parallel::Lane& lane) const {
  nn::Head out = parts_.model.head();
  out.region = &lane.seams.training().tensor;
  return out;
}

void Passes::put(const parallel::Action& pass, Flight flight) {
  const std::lock_guard lock(mutex_);
  flights_[{pass.micro_batch, pass.chunk}] = std::move(flight);
}

Passes::Flight Passes::take(const parallel::Action& pass) {
  const std::lock_guard lock(mutex_);
  return std::move(flights_.extract({pass.micro_batch, pass.chunk}).mapped());
}

const models::MultiTokenPredictor* Passes::predictor() const { return config_.mtp_loss_scaling_factor == 0 ? nullptr : parts_.model.multi_token_predictor(); }

bool Passes::pools(const Flight& flight) const {
  if (flight.routers.empty() || config_.objective.aux_coef == 0 || denominators_.frequencies) return false;
  return config_.objective.aux_loss == loss::AuxLoss::kPerSequence ? !parts_.mesh.rows->alone() : !parts_.mesh.stage->alone() || pools_over_stages();
}

bool Passes::pools_over_stages() const {
  return parts_.stages.ranks() > 1 && parts_.stages.num_mixtures() > 0 && config_.objective.aux_coef != 0 && config_.objective.aux_loss == loss::AuxLoss::kHfPooled &&
         !denominators_.frequencies;
}

std::int64_t Passes::hidden_rows(std::int64_t micro_batch) const { return parts_.seams.residual_tokens(batches_[static_cast<std::size_t>(micro_batch)].tensors.shape.tokens()); }

std::int64_t Passes::forward_size(std::int64_t micro_batch) const {
  return hidden_rows(micro_batch) * parts_.hidden_size + (pools_over_stages() ? parts_.stages.num_experts() : 0);
}

at::Tensor Passes::forward(const parallel::Action& pass, const at::Tensor& received) {
  const std::int64_t micro_batch = pass.micro_batch, chunk = pass.chunk;
  const parallel::Lane lane = lane_of(pass);
  const dist::TraceWriter::Span traced(parts_.mesh.observers->trace, "forward");
  const loss::BatchTensors& batch = batches_[static_cast<std::size_t>(micro_batch)].tensors;
  const DropoutPass leaves_out(parts_.dropout, step_, batches_[static_cast<std::size_t>(micro_batch)]);
  const std::int64_t rows = hidden_rows(micro_batch), activations = rows * parts_.hidden_size;
  Flight flight;
  if (!is_first(chunk)) flight.input = received.narrow(0, 0, activations).view({rows, parts_.hidden_size}).requires_grad_(!counts_only_);
  const at::Tensor hidden = is_first(chunk) ? parts_.model.embed(batch.ids, context(batch, lane)) : flight.input;
  const parallel::LayerRange range = parts_.stages.layers(parts_.mesh.place.pipeline, chunk);
  flight.output = parallel::run_blocks(parts_.model, range, hidden, context(batch, lane), activation_settings(lane), flight.routers);
  if (counts_only_ && !flight.routers.empty()) {
    add_rows(counted_, loss::chosen_counts(flight.routers, batch.routed_real) / denominators_.real_tokens, parts_.stages.mixtures_before(range.begin), parts_.stages.num_mixtures());
  }
  std::vector<at::Tensor> message{flight.output.detach().flatten()};
  if (pools_over_stages() && !counts_only_) {
    flight.pooled = is_first(chunk) ? at::zeros({parts_.stages.num_experts()}) : received.narrow(0, activations, parts_.stages.num_experts());
    if (!flight.routers.empty()) {
      const at::Tensor counts = loss::chosen_counts(flight.routers, batch.routed_real);
      lane.mesh.stage->all_reduce(counts, dist::Reduce::kSum);
      flight.pooled = flight.pooled + counts.sum(0);
    }
    message.push_back(flight.pooled);
  } else if (pools_over_stages()) {
    message.push_back(at::zeros({parts_.stages.num_experts()}));
  }
  if (!counts_only_) put(pass, std::move(flight));
  return is_last(chunk) ? at::Tensor() : at::cat(message, 0);
}

at::Tensor Passes::backward(const parallel::Action& pass, const at::Tensor& received) {
  const std::int64_t micro_batch = pass.micro_batch, chunk = pass.chunk;
  const parallel::Lane lane = lane_of(pass);
  const dist::TraceWriter::Span traced(parts_.mesh.observers->trace, "backward");
  const MicroBatch& batch = batches_[static_cast<std::size_t>(micro_batch)];
  const DropoutPass leaves_out(parts_.dropout, step_, batch);
  const Flight flight = take(pass);
  const std::int64_t activations = hidden_rows(micro_batch) * parts_.hidden_size;
  const loss::MixtureSpan span{parts_.stages.mixtures_before(parts_.stages.layers(parts_.mesh.place.pipeline, chunk).begin), parts_.stages.num_mixtures()};
  at::Tensor pooled = flight.pooled;  // of all layers
  if (pools_over_stages() && !is_last(chunk)) pooled = received.narrow(0, activations, parts_.stages.num_experts());

  loss::Denominators denominators = denominators_;
  denominators.span = span;
  loss::GlobalFrequencies own;
  if (pools(flight) || denominators_.frequencies) {
    own = frequencies(flight, batch, span, pooled, lane.mesh);
    denominators.frequencies = &own;
  }
  const at::Tensor log_preferences = parts_.target ? parts_.target->log_preferences() : at::Tensor();
  std::vector<nn::RouterRecord> routers = flight.routers;
  loss::Terms terms;
  if (is_last(chunk)) {
    const at::Tensor hidden = parts_.model.final_norm(flight.output);
    terms = loss::objective(config_.objective, hidden, flight.routers, head(lane), batch.tensors, log_preferences, denominators);
    if (predictor()) terms.mtp = predict_further(hidden, batch, lane, routers);
  } else {
    terms = loss::router_terms(config_.objective, flight.routers, batch.tensors, log_preferences, denominators);
  }
  const at::Tensor total = terms.total();
  std::vector<at::Tensor> roots, gradients;
  if (total.defined() && total.requires_grad()) roots.push_back(total), gradients.emplace_back();
  if (!is_last(chunk) && flight.output.requires_grad()) {  // a first stage that is frozen has no use for it
    roots.push_back(flight.output);
    gradients.push_back(received.narrow(0, 0, activations).view(flight.output.sizes()));
  }
  if (!roots.empty()) torch::autograd::backward(roots, gradients);
  add(terms);
  if (!flight.routers.empty()) add_counts(flight, routers, batch.tensors, span);
  if (is_first(chunk)) return {};
  const at::Tensor back = flight.input.grad().flatten();
  return pools_over_stages() ? at::cat({back, pooled}, 0) : back;
}

void Passes::add(const loss::Terms& terms) {
  // What all ranks of a tensor region find alike counts on one of them.
  const bool counts_here = parts_.mesh.place.tensor == 0;
  monitor::Losses& losses = result_.losses;
  const double alike = counts_here ? 0 : value(terms.lm) + value(terms.mtp);
  losses.lm_loss += counts_here ? value(terms.lm) : 0;
  losses.aux_loss += value(terms.aux);
  losses.z_loss += value(terms.z);
  losses.routing_supervision_loss += value(terms.routing);
  if (terms.mtp.defined()) losses.mtp_loss = losses.mtp_loss.value_or(0) + (counts_here ? value(terms.mtp) : 0);
  losses.loss += value(terms.total()) - alike;
}

void Passes::add_counts(const Flight& flight, const std::vector<nn::RouterRecord>& routers, const loss::BatchTensors& batch, const loss::MixtureSpan& span) {
  if (config_.expert_bias_update_rate != 0) {
    const std::int64_t further = static_cast<std::int64_t>(routers.size() - flight.routers.size());
    const std::int64_t rows = span.total + (predictor() ? 1 : 0);
    const at::Tensor counts = loss::chosen_counts(routers, batch.routed_real);
    add_rows(chosen_counts_, counts.narrow(0, 0, counts.size(0) - further), span.first, rows);
    if (further > 0) add_rows(chosen_counts_, counts.narrow(0, counts.size(0) - further, further), span.total, rows);
  }
  if (parts_.mesh.place.tensor == 0) {
    for (const nn::RouterRecord& router : flight.routers) result_.chosen += batch.real_tokens * static_cast<double>(router.chosen.size(1));
  }
  add_rows(result_.expert_counts, loss::served_counts(flight.routers, batch.routed_real), span.first, span.total);
}

loss::GlobalFrequencies Passes::frequencies(const Flight& flight, const MicroBatch& batch, const loss::MixtureSpan& span, const at::Tensor& pooled, const dist::Mesh& mesh) const {
  const auto here = static_cast<std::int64_t>(flight.routers.size());
  if (const loss::GlobalFrequencies* counted = denominators_.frequencies) {  // of the whole global batch, all layers
    loss::GlobalFrequencies out{counted->frequency.narrow(0, span.first, here), counted->tokens, {}, 0, {}, {}, {}};
    if (here < span.total) out.pooled = counted->frequency.mean(0), out.layers = span.total;
    return out;
  }
  if (config_.objective.aux_loss == loss::AuxLoss::kPerSequence) return frequencies_by_row(flight.routers, batch.tensors, mesh);
  const double tokens = mesh.replica->sum(batch.tensors.real_tokens);
  if (pools_over_stages()) return {{}, tokens, pooled / (tokens * static_cast<double>(span.total)), span.total, {}, {}, {}};
  const at::Tensor counts = loss::chosen_counts(flight.routers, batch.tensors.routed_real);
  mesh.stage->all_reduce(counts, dist::Reduce::kSum);
  return {counts / tokens, tokens, {}, 0, {}, {}, {}};
}

loss::GlobalFrequencies Passes::frequencies_by_row(const std::vector<nn::RouterRecord>& routers, const loss::BatchTensors& batch, const dist::Mesh& mesh) const {
  const std::int64_t rows = batch.shape.rows;
  const at::Tensor counts = loss::chosen_counts_by_row(routers, batch.routed_real, batch.routed_row, rows);
  const at::Tensor real = batch.routed_real.defined() ? batch.routed_real : at::ones({batch.routed_row.size(0)});
  const at::Tensor tokens = at::index_add(at::zeros({rows}), 0, batch.routed_row, real).unsqueeze(1);
  mesh.rows->all_reduce(counts, dist::Reduce::kSum);
  mesh.rows->all_reduce(tokens, dist::Reduce::kSum);
  tokens.clamp_min_(1);
  return {{}, 0, {}, 0, counts / tokens, tokens, batch.routed_row};
}

at::Tensor Passes::predict_further(const at::Tensor& hidden, const MicroBatch& batch, const parallel::Lane& lane, std::vector<nn::RouterRecord>& routers) const {
  models::BlockOutput out = predictor()->forward(hidden, batch.next_ids, context(batch.tensors, lane));
  if (out.router) routers.push_back(std::move(*out.router));
  return loss::cross_entropy(out.hidden, head(lane), batch.next_labels, config_.mtp_loss_scaling_factor / std::max(1.0, mtp_tokens_));
}

}  // namespace sluice::train
