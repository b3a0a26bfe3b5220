#include "sluice/loss/objective.h"

#include <set>

#include "sluice/loss/cross_entropy.h"

namespace sluice::loss {
namespace {

// Whether every row is real tokens first, padding after: then causal attention needs no mask.
bool padded_right(const data::Batch& batch) {
  for (std::int64_t row = 0; row < batch.rows; ++row) {
    for (std::int64_t t = 1; t < batch.seq; ++t) {
      const auto i = static_cast<std::size_t>(row * batch.seq + t);
      if (batch.real[i] && !batch.real[i - 1]) return false;
    }
  }
  return true;
}

at::Tensor supervised_labels(const data::Batch& batch, Tokens which) {
  at::Tensor out = at::full({batch.rows * batch.seq}, -1, at::kLong);
  auto* label = out.data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < batch.rows * batch.seq; ++i) {
    const auto row = static_cast<std::size_t>(i / batch.seq);
    const bool prompt = i % batch.seq < batch.prompt_length[row];
    const bool covered = which == Tokens::kAll || prompt == (which == Tokens::kPrompt);
    if (covered && batch.real[static_cast<std::size_t>(i)]) label[i] = batch.expert_label[row];
  }
  return out;
}

}  // namespace

// The labels of each weight by themselves: rows have few different ones.
at::Tensor weighted_cross_entropy(const at::Tensor& hidden, const nn::Head& head, const BatchTensors& batch, double scale) {
  if (!batch.weights.defined()) return cross_entropy(hidden, head, batch.labels, scale);
  const auto* begin = batch.weights.data_ptr<float>();
  at::Tensor sum;
  for (const float weight : std::set<float>(begin, begin + batch.weights.numel())) {
    const at::Tensor loss = cross_entropy(hidden, head, batch.labels.masked_fill(batch.weights != weight, kIgnored), scale * static_cast<double>(weight));
    sum = sum.defined() ? sum + loss : loss;
  }
  return sum;
}

BatchTensors to_tensors(const data::Batch& batch, Tokens supervised) {
  const auto copy = [](const std::vector<std::int64_t>& values) { return at::tensor(values, at::kLong); };
  BatchTensors out;
  out.shape = {batch.rows, batch.seq, {}, {}, batch.documents};
  out.ids = copy(batch.ids);
  out.labels = shift_labels(copy(batch.labels).view({batch.rows, batch.seq}));
  if (!batch.weights.empty()) out.weights = at::tensor(batch.weights, at::kFloat).roll(-1);  // beside the shifted labels
  out.target_tokens = static_cast<double>(batch.target_tokens);
  out.target_weight = batch.target_weight;
  out.real_tokens = static_cast<double>(batch.real_tokens);
  if (batch.real_tokens < batch.rows * batch.seq) {
    out.real = at::from_blob(const_cast<std::uint8_t*>(batch.real.data()), {batch.rows * batch.seq}, at::kByte).to(at::kFloat);
    out.shape.real = out.real;
    if (batch.documents.empty() && !padded_right(batch)) out.shape.key_mask = out.real.view({batch.rows, batch.seq}) > 0;
  }
  out.expert_label = supervised_labels(batch, supervised);
  out.routed_real = out.real;
  out.routed_label = out.expert_label;
  out.supervised_tokens = static_cast<double>((out.expert_label >= 0).sum().item<std::int64_t>());
  return out;
}

void Denominators::add(const BatchTensors& batch) {
  target_tokens += batch.target_tokens;
  target_weight += batch.target_weight;
  real_tokens += batch.real_tokens;
  supervised_tokens += batch.supervised_tokens;
  load_balance += 1;
}

at::Tensor Terms::total() const {
  at::Tensor sum = lm;
  for (const at::Tensor* term : {&aux, &z, &routing, &mtp}) {
    if (term->defined()) sum = sum.defined() ? sum + *term : *term;
  }
  return sum;
}

Terms router_terms(const ObjectiveConfig& config, const std::vector<nn::RouterRecord>& routers, const BatchTensors& batch, const at::Tensor& log_preferences,
                   const Denominators& denominators) {
  Terms terms;
  if (routers.empty()) return terms;
  if (config.aux_coef != 0) {
    terms.aux = load_balance(config.aux_loss, routers, batch.routed_real, batch.shape.rows, denominators.frequencies).to(at::kDouble) *
                (config.aux_coef / denominators.load_balance);
  }
  if (config.z_coef != 0) terms.z = router_z(routers, batch.routed_real).to(at::kDouble) * (config.z_coef / denominators.real_tokens);
  if (config.supervision.weight != 0 && batch.supervised_tokens > 0) {
    const at::Tensor routing = routing_supervision(config.supervision, routers, log_preferences, batch.routed_label, denominators.supervised_tokens, denominators.span);
    if (routing.defined()) terms.routing = routing.to(at::kDouble) * config.supervision.weight;
  }
  return terms;
}

Terms objective(const ObjectiveConfig& config, const at::Tensor& hidden, const std::vector<nn::RouterRecord>& routers, const nn::Head& head,
                const BatchTensors& batch, const at::Tensor& log_preferences, const Denominators& denominators) {
  const at::Tensor lm = weighted_cross_entropy(hidden, head, batch, denominators.target_weight > 0 ? 1 / denominators.target_weight : 1);
  Terms terms = router_terms(config, routers, batch, log_preferences, denominators);
  terms.lm = lm;
  return terms;
}

}  // namespace sluice::loss
