#include "sluice/loss/load_balance.h"

namespace sluice::loss {
namespace {

// [tokens, experts] with a 1 for each chosen expert of each real token; -1 counts nowhere.
at::Tensor assignments(const at::Tensor& experts, const at::Tensor& real, std::int64_t num_experts) {
  at::Tensor out = at::zeros({experts.size(0), num_experts + 1}, experts.options().dtype(at::kFloat));
  out.scatter_add_(1, experts + 1, at::ones(experts.sizes(), out.options()));
  out = out.narrow(1, 1, num_experts);
  return real.defined() ? out * real.unsqueeze(1) : out;
}

at::Tensor real_probabilities(const nn::RouterRecord& record, const at::Tensor& real) {
  const at::Tensor probability = record.scoring == nn::Scoring::kSoftmax ? at::softmax(record.logits, -1) : nn::router_log_probability(record.logits, record.scoring).exp();
  return real.defined() ? probability * real.unsqueeze(1) : probability;
}

at::Tensor count(const std::vector<nn::RouterRecord>& records, const at::Tensor& real, at::Tensor nn::RouterRecord::*which) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> layers;
  for (const auto& record : records) layers.push_back(assignments(record.*which, real, record.logits.size(1)).sum(0));
  return at::stack(layers);
}

double real_tokens(const nn::RouterRecord& record, const at::Tensor& real) {
  return real.defined() ? real.sum(at::kDouble).item<double>() : static_cast<double>(record.logits.size(0));
}

// f and P of each layer [layers, experts] -> the loss of `kind` (hf_pooled or per_layer).
at::Tensor combine(AuxLoss kind, const at::Tensor& frequency, const at::Tensor& probability, std::int64_t top_k) {
  const auto experts = static_cast<double>(frequency.size(1));
  if (kind == AuxLoss::kHfPooled) return experts * (frequency.mean(0) * probability.mean(0)).sum();
  return experts / static_cast<double>(top_k) * (frequency * probability).sum();
}

at::Tensor per_sequence(const std::vector<nn::RouterRecord>& records, const at::Tensor& real, std::int64_t rows) {
  std::vector<at::Tensor> layers;
  for (const auto& record : records) {
    const std::int64_t experts = record.logits.size(1), top_k = record.chosen.size(1);
    const auto by_row = [&](const at::Tensor& x) { return x.view({rows, -1, experts}).sum(1); };  // [rows, experts]
    const at::Tensor tokens = real.defined() ? real.view({rows, -1}).sum(1, true) : at::full({rows, 1}, static_cast<double>(record.logits.size(0) / rows));
    const at::Tensor frequency = by_row(assignments(record.chosen, real, experts)) / tokens.clamp_min(1);
    const at::Tensor probability = by_row(real_probabilities(record, real)) / tokens.clamp_min(1);
    layers.push_back(static_cast<double>(experts) / static_cast<double>(top_k) * (frequency * probability).sum(1).mean());
  }
  return at::stack(layers).sum();
}

// x [tokens, experts] -> [rows, experts], summed
at::Tensor sum_by_row(const at::Tensor& x, const at::Tensor& row, std::int64_t rows) { return at::index_add(at::zeros({rows, x.size(1)}, x.options().requires_grad(false)), 0, row, x); }

// What the tokens at hand add to the loss of sequences that other ranks have tokens of too.
at::Tensor share_of_sequences(const std::vector<nn::RouterRecord>& records, const at::Tensor& real, std::int64_t rows, const GlobalFrequencies& global) {
  std::vector<at::Tensor> layers;
  for (std::size_t layer = 0; layer < records.size(); ++layer) {
    const nn::RouterRecord& record = records[layer];
    const at::Tensor probability = sum_by_row(real_probabilities(record, real), global.row, rows) / global.row_tokens;
    const double scale = static_cast<double>(record.logits.size(1)) / static_cast<double>(record.chosen.size(1));
    layers.push_back(scale * (global.of_row[static_cast<std::int64_t>(layer)] * probability).sum(1).mean());
  }
  return at::stack(layers).sum();
}

// What some of the layers add to hf_pooled.
at::Tensor share_of_layers(const std::vector<nn::RouterRecord>& records, const at::Tensor& real, const GlobalFrequencies& global) {
  at::Tensor probability;
  for (const nn::RouterRecord& record : records) {
    const at::Tensor of_layer = real_probabilities(record, real).sum(0) / global.tokens;
    probability = probability.defined() ? probability + of_layer : of_layer;
  }
  return static_cast<double>(global.pooled.size(0)) * (global.pooled * (probability / static_cast<double>(global.layers))).sum();
}

}  // namespace

at::Tensor load_balance(AuxLoss kind, const std::vector<nn::RouterRecord>& records, const at::Tensor& real, std::int64_t rows,
                        const GlobalFrequencies* global) {
  if (kind == AuxLoss::kPerSequence) return global ? share_of_sequences(records, real, rows, *global) : per_sequence(records, real, rows);
  const double tokens = global ? global->tokens : real_tokens(records[0], real);
  if (kind == AuxLoss::kHfPooled && global && global->pooled.defined()) return share_of_layers(records, real, *global);
  std::vector<at::Tensor> probability;
  for (const auto& record : records) probability.push_back(real_probabilities(record, real).sum(0) / tokens);
  const at::Tensor frequency = global ? global->frequency : chosen_counts(records, real) / tokens;
  return combine(kind, frequency, at::stack(probability), records[0].chosen.size(1));
}

at::Tensor chosen_counts(const std::vector<nn::RouterRecord>& records, const at::Tensor& real) {
  return count(records, real, &nn::RouterRecord::chosen);
}

at::Tensor chosen_counts_by_row(const std::vector<nn::RouterRecord>& records, const at::Tensor& real, const at::Tensor& row, std::int64_t rows) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> layers;
  for (const auto& record : records) layers.push_back(sum_by_row(assignments(record.chosen, real, record.logits.size(1)), row, rows));
  return at::stack(layers);
}

at::Tensor served_counts(const std::vector<nn::RouterRecord>& records, const at::Tensor& real) {
  return count(records, real, &nn::RouterRecord::served);
}

at::Tensor router_z(const std::vector<nn::RouterRecord>& records, const at::Tensor& real) {
  std::vector<at::Tensor> layers;
  for (const auto& record : records) {
    const at::Tensor z = at::logsumexp(record.logits, -1).square();
    layers.push_back((real.defined() ? z * real : z).sum());
  }
  return at::stack(layers).sum();
}

}  // namespace sluice::loss
