#include "sluice/eval/routing_figures.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "sluice/base/error.h"

namespace sluice::eval {
namespace {

constexpr std::int64_t kFirstSlotToken = 3;  // the 4th: the first ones are the same in every question

double total(const std::vector<double>& row) { return std::accumulate(row.begin(), row.end(), 0.0); }

std::vector<double> shares(const std::vector<double>& counts) {
  std::vector<double> out = counts;
  const double sum = total(counts);
  for (double& value : out) value = sum > 0 ? value / sum : 0;
  return out;
}

// KL(p || q) in nats from log q; a share of 0 in p adds nothing.
double divergence(const std::vector<double>& p, const double* log_q) {
  double sum = 0;
  for (std::size_t e = 0; e < p.size(); ++e) sum += p[e] > 0 ? p[e] * (std::log(p[e]) - log_q[e]) : 0;
  return sum;
}

std::size_t nearest_label(const std::vector<std::vector<double>>& preferences, const std::vector<double>& distribution) {
  std::vector<double> log_q(distribution.size());
  std::ranges::transform(distribution, log_q.begin(), [](double q) { return std::log(q); });
  std::vector<double> distances;
  for (const auto& preference : preferences) distances.push_back(divergence(preference, log_q.data()));
  return static_cast<std::size_t>(std::ranges::min_element(distances) - distances.begin());
}

}  // namespace

double mutual_information_nats(const std::vector<std::vector<double>>& counts) {
  if (counts.empty()) return 0;
  std::vector<double> rows, columns(counts[0].size(), 0.0);
  for (const auto& row : counts) {
    rows.push_back(total(row));
    for (std::size_t e = 0; e < row.size(); ++e) columns[e] += row[e];
  }
  const double all = total(rows);
  double sum = 0;
  for (std::size_t l = 0; l < counts.size(); ++l) {
    for (std::size_t e = 0; e < columns.size(); ++e) {
      if (counts[l][e] > 0) sum += counts[l][e] / all * std::log(counts[l][e] * all / (rows[l] * columns[e]));
    }
  }
  return std::max(0.0, sum);  // rounding alone can make it negative
}

RoutingCollector::RoutingCollector(const models::MoeShape& moe, std::int64_t num_labels, const RoutingFile* supervision) : moe_(moe), supervision_(supervision) {
  const auto num_layers = static_cast<std::size_t>(moe.num_layers), num_experts = static_cast<std::size_t>(moe.num_experts);
  if (supervision) {
    layers_ = supervision->layers;
  } else {
    layers_.resize(num_layers);
    std::iota(layers_.begin(), layers_.end(), std::int64_t{0});
  }
  const Table by_label(static_cast<std::size_t>(num_labels), std::vector<double>(num_experts, 0.0));
  served_.assign(num_layers, std::vector<double>(num_experts, 0.0));
  label_served_ = by_label;
  question_slots_.assign(num_layers, by_label);
}

bool RoutingCollector::supervised(std::size_t layer) const {
  return std::ranges::find(layers_, static_cast<std::int64_t>(layer)) != layers_.end();
}

bool RoutingCollector::covered(std::int64_t position, std::int32_t prompt_length) const {
  const bool prompt = position < prompt_length;
  return supervision_->tokens == loss::Tokens::kAll || prompt == (supervision_->tokens == loss::Tokens::kPrompt);
}

void RoutingCollector::count_served(std::size_t layer, const std::int64_t* served, std::int64_t top_k, std::int32_t label,
                                    std::int64_t question_index) {
  for (std::int64_t k = 0; k < top_k; ++k) {
    if (served[k] < 0) continue;  // dropped for lack of capacity
    const auto expert = static_cast<std::size_t>(served[k]);
    served_[layer][expert] += 1;
    if (label < 0 || !supervised(layer)) continue;
    label_served_[static_cast<std::size_t>(label)][expert] += 1;
    if (question_index >= kFirstSlotToken) question_slots_[layer][static_cast<std::size_t>(label)][expert] += 1;
  }
}

void RoutingCollector::add_layer(std::size_t layer, const nn::RouterRecord& record, const data::Batch& batch, std::vector<Row>& rows) {
  const at::Tensor log_router = nn::router_log_probability(record.logits.detach().to(at::kCPU, at::kDouble), record.scoring).contiguous();
  const at::Tensor served = record.served.to(at::kCPU, at::kLong).contiguous();
  const std::int64_t top_k = served.size(1);
  for (std::int64_t row = 0; row < batch.rows; ++row) {
    Row& of_row = rows[static_cast<std::size_t>(row)];
    const std::int32_t prompt_length = batch.prompt_length[static_cast<std::size_t>(row)];
    std::int64_t question_index = 0;  // real tokens of the question so far
    for (std::int64_t t = 0; t < batch.seq; ++t) {
      const std::int64_t token = row * batch.seq + t;
      if (!batch.real[static_cast<std::size_t>(token)]) continue;
      const bool question = prompt_length == 0 || t < prompt_length;
      count_served(layer, served.data_ptr<std::int64_t>() + token * top_k, top_k, of_row.label, question ? question_index : -1);
      question_index += question;
      if (!supervision_ || !supervised(layer)) continue;
      const double* log_q = log_router.data_ptr<double>() + token * moe_.num_experts;
      if (of_row.label >= 0 && covered(t, prompt_length)) {
        kl_sum_ += divergence(supervision_->preferences[static_cast<std::size_t>(of_row.label)], log_q);
        kl_count_ += 1;
      }
      if (!question) continue;
      for (std::size_t e = 0; e < of_row.router.size(); ++e) of_row.router[e] += std::exp(log_q[e]);
      of_row.count += 1;
    }
  }
}

std::vector<std::int32_t> RoutingCollector::add(const std::vector<nn::RouterRecord>& records, const data::Batch& batch) {
  SLUICE_CHECK(static_cast<std::int64_t>(records.size()) == moe_.num_layers, "one router record a mixture layer");
  std::vector<Row> rows;
  for (const std::int32_t label : batch.expert_label) {
    SLUICE_CHECK(label < static_cast<std::int64_t>(label_served_.size()), "expert label " + std::to_string(label));
    rows.push_back({label, std::vector<double>(static_cast<std::size_t>(moe_.num_experts), 0.0), 0});
  }
  for (std::size_t layer = 0; layer < records.size(); ++layer) add_layer(layer, records[layer], batch, rows);
  std::vector<std::int32_t> read(rows.size(), data::kNoExpertLabel);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    Row& row = rows[i];
    if (row.count == 0) continue;
    for (double& sum : row.router) sum /= row.count;
    read[i] = static_cast<std::int32_t>(nearest_label(supervision_->preferences, row.router));
    if (row.label < 0) continue;
    questions_ += 1;
    read_back_ += read[i] == row.label;
  }
  return read;
}

monitor::RoutingFigures RoutingCollector::figures() const {
  monitor::RoutingFigures out;
  if (questions_ > 0) out.accuracy = read_back_ / questions_;
  if (kl_count_ > 0) out.kl = kl_sum_ / kl_count_;
  for (const auto& layer : served_) out.expert_share.push_back(shares(layer));
  const bool labelled = std::ranges::any_of(label_served_, [](const auto& row) { return total(row) > 0; });
  if (!labelled) return out;
  for (const auto& label : label_served_) out.label_expert.push_back(shares(label));
  double sum = 0;
  bool slots = false;
  for (const std::int64_t layer : layers_) {
    const Table& table = question_slots_[static_cast<std::size_t>(layer)];
    slots = slots || std::ranges::any_of(table, [](const auto& row) { return total(row) > 0; });
    sum += mutual_information_nats(table);
  }
  if (slots) out.mutual_information_nats = sum / static_cast<double>(layers_.size());
  return out;
}

}  // namespace sluice::eval
