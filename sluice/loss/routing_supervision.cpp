#include "sluice/loss/routing_supervision.h"

#include <numeric>

#include "sluice/base/error.h"

namespace sluice::loss {
namespace {

// What the loss is measured on: logits [layers, tokens, experts] -> [losses, tokens, experts], one loss a layer or one for all.
at::Tensor combined_logits(Aggregate aggregate, const at::Tensor& logits) {
  switch (aggregate) {
    case Aggregate::kEach: return logits;
    case Aggregate::kMean: return logits.mean(0, /*keepdim=*/true);
    case Aggregate::kSum: return logits.sum(0, /*keepdim=*/true);
    case Aggregate::kLast: break;
  }
  return logits.narrow(0, logits.size(0) - 1, 1);
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
                               const at::Tensor& log_preferences, const at::Tensor& label, double tokens, const MixtureSpan& span) {
  const auto here = static_cast<std::int64_t>(records.size());
  std::vector<std::int64_t> supervised = supervised_layers(config, span.total > 0 ? span.total : here);
  if (config.aggregate == Aggregate::kLast) supervised = {supervised.back()};
  std::vector<at::Tensor> layers;
  for (const std::int64_t layer : supervised) {
    if (layer >= span.first && layer < span.first + here) layers.push_back(records[static_cast<std::size_t>(layer - span.first)].logits);
  }
  if (layers.empty()) return {};
  const double losses = config.aggregate == Aggregate::kEach ? static_cast<double>(supervised.size()) : 1;
  const at::Tensor row = at::nonzero(label >= 0).view({-1});
  const at::Tensor log_q = log_preferences.index_select(0, label.index_select(0, row));
  const at::Tensor log_p = nn::router_log_probability(combined_logits(config.aggregate, at::stack(layers).index_select(1, row)), records[0].scoring);
  return (log_q.exp() * (log_q - log_p)).sum() / (tokens * losses);
}

}  // namespace sluice::loss
