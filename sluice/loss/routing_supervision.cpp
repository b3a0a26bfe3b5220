#include "sluice/loss/routing_supervision.h"

#include <numeric>

#include "sluice/base/error.h"

namespace sluice::loss {
namespace {

// Sum over tokens of KL(q || p) in nats; rows of `q` and `log_q` belong to the rows of `logits`.
at::Tensor kl_sum(const at::Tensor& q, const at::Tensor& log_q, const at::Tensor& logits) {
  return (q * (log_q - at::log_softmax(logits, -1))).sum();
}

at::Tensor combined_logits(Aggregate aggregate, const std::vector<at::Tensor>& logits) {
  if (aggregate == Aggregate::kLast) return logits.back();
  const at::Tensor sum = at::stack(logits).sum(0);
  return aggregate == Aggregate::kSum ? sum : sum / static_cast<double>(logits.size());
}

}  // namespace

at::Tensor balanced_preferences(const std::vector<double>& label_shares, std::int64_t num_experts, double smoothing, double temperature) {
  const auto labels = static_cast<std::int64_t>(label_shares.size());
  const double total = std::accumulate(label_shares.begin(), label_shares.end(), 0.0), width = 1.0 / static_cast<double>(num_experts);
  SLUICE_CHECK(total > 0, "no label occurs");
  at::Tensor out = at::full({labels, num_experts}, smoothing * width, at::kDouble);
  auto value = out.accessor<double, 2>();
  double begin = 0;
  for (std::int64_t c = 0; c < labels; ++c) {
    const double share = label_shares[static_cast<std::size_t>(c)] / total, end = begin + share;
    for (std::int64_t e = 0; e < num_experts; ++e) {
      const double low = std::max(begin, static_cast<double>(e) * width), high = std::min(end, static_cast<double>(e + 1) * width);
      // A label that does not occur has no interval: its preference is uniform.
      const double overlap = share > 0 ? std::max(0.0, high - low) / share : width;
      value[c][e] += (1 - smoothing) * overlap;
    }
    begin = end;
  }
  return temperature == 1 ? out.to(at::kFloat) : at::softmax(out.log() / temperature, -1).to(at::kFloat);
}

at::Tensor learned_log_preferences(const at::Tensor& weight, const at::Tensor& bias, double temperature) {
  return at::log_softmax((weight.t() + bias) / temperature, -1);
}

std::vector<std::int64_t> supervised_layers(const RoutingSupervisionConfig& config, std::int64_t num_layers) {
  if (!config.layers.empty()) return config.layers;
  std::vector<std::int64_t> all(static_cast<std::size_t>(num_layers));
  std::iota(all.begin(), all.end(), std::int64_t{0});
  return all;
}

at::Tensor routing_supervision(const RoutingSupervisionConfig& config, const std::vector<nn::RouterRecord>& records,
                               const at::Tensor& log_preferences, const at::Tensor& label, double tokens) {
  const at::Tensor row = at::nonzero(label >= 0).view({-1});
  const at::Tensor log_q = log_preferences.index_select(0, label.index_select(0, row));
  const at::Tensor q = log_q.exp();
  std::vector<at::Tensor> logits;
  for (const std::int64_t layer : supervised_layers(config, static_cast<std::int64_t>(records.size()))) {
    logits.push_back(records[static_cast<std::size_t>(layer)].logits.index_select(0, row));
  }
  if (config.aggregate != Aggregate::kEach) return kl_sum(q, log_q, combined_logits(config.aggregate, logits)) / tokens;
  std::vector<at::Tensor> each;
  for (const at::Tensor& layer : logits) each.push_back(kl_sum(q, log_q, layer));
  return at::stack(each).mean() / tokens;
}

}  // namespace sluice::loss
