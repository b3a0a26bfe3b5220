#include "sluice/generate/sampling.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

namespace sluice::generate {
namespace {

std::int32_t likeliest(std::span<const float> logits) {
  const auto best = std::max_element(logits.begin(), logits.end());  // the first of equals
  return static_cast<std::int32_t>(best - logits.begin());
}

void require_finite(std::span<const float> logits) {
  // Minus infinity is a token that cannot come; it may be for some, not for all.
  const bool broken = std::ranges::any_of(logits, [](float x) { return std::isnan(x); });
  if (!broken && std::isfinite(*std::ranges::max_element(logits))) return;
  throw Error("the model's logits are not finite numbers", "check the checkpoint's weights (a run that diverged?), or try --dtype fp32");
}

}  // namespace

void Sampling::check(Violations& violations) const {
  if (!(temperature >= 0) || !std::isfinite(temperature)) {
    violations.add("temperature = " + std::to_string(temperature) + " is not at least 0", "use 0 for greedy, or 0.1 to 2 to sample");
  }
  if (top_k < 0)
    violations.add("top_k = " + std::to_string(top_k) + " is negative", "use 0 for all tokens, or the number of tokens to choose among");
  if (!(top_p > 0 && top_p <= 1))
    violations.add("top_p = " + std::to_string(top_p) + " is not in (0, 1]", "use 1 for all tokens, or for example 0.9");
  if (!(repetition_penalty > 0) || !std::isfinite(repetition_penalty)) {
    violations.add("repetition_penalty = " + std::to_string(repetition_penalty) + " is not above 0", "use 1 for none, or for example 1.1");
  }
}

void penalize_repetition(std::span<float> logits, std::span<const std::int32_t> ids, double penalty) {
  if (penalty == 1) return;
  const auto factor = static_cast<float>(penalty);
  std::vector<bool> done(logits.size());
  for (const std::int32_t id : ids) {
    const auto at = static_cast<std::size_t>(id);
    if (done[at]) continue;
    done[at] = true;
    logits[at] = logits[at] < 0 ? logits[at] * factor : logits[at] / factor;
  }
}

std::int32_t choose(std::span<const float> logits, const Sampling& sampling, Rng& rng) {
  require_finite(logits);
  if (sampling.temperature == 0) return likeliest(logits);
  std::vector<std::int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto logit = [&](std::int32_t id) { return static_cast<double>(logits[static_cast<std::size_t>(id)]); };
  const auto likelier = [&](std::int32_t a, std::int32_t b) { return logit(a) != logit(b) ? logit(a) > logit(b) : a < b; };
  std::size_t kept = sampling.top_k > 0 ? std::min(order.size(), static_cast<std::size_t>(sampling.top_k)) : order.size();
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(kept), order.end(), likelier);
  const auto equals_last = [&, last = logit(order[kept - 1])](std::int32_t id) { return logit(id) == last; };
  const auto ties = std::stable_partition(order.begin() + static_cast<std::ptrdiff_t>(kept), order.end(), equals_last);
  std::sort(order.begin() + static_cast<std::ptrdiff_t>(kept), ties);
  kept = static_cast<std::size_t>(ties - order.begin());
  order.resize(kept);

  std::vector<double> cumulative(kept);  // unnormalised
  double sum = 0;
  for (std::size_t i = 0; i < kept; ++i) cumulative[i] = sum += std::exp((logit(order[i]) - logit(order[0])) / sampling.temperature);
  const double limit = sampling.top_p * sum;
  const auto nucleus =
      std::min(static_cast<std::size_t>(std::lower_bound(cumulative.begin(), cumulative.end(), limit) - cumulative.begin()), kept - 1);
  const double at = rng.uniform() * cumulative[nucleus];
  const auto chosen =
      std::upper_bound(cumulative.begin(), cumulative.begin() + static_cast<std::ptrdiff_t>(nucleus), at) - cumulative.begin();
  return order[static_cast<std::size_t>(chosen)];
}

}  // namespace sluice::generate
