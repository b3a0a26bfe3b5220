#include "sluice/generate/sampling.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <unordered_map>

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

Distribution::Distribution(std::span<const float> logits, const Sampling& sampling) {
  require_finite(logits);
  if (sampling.temperature == 0) {
    ids_ = {likeliest(logits)};
    cumulative_ = {1};
    return;
  }
  ids_.resize(logits.size());
  std::iota(ids_.begin(), ids_.end(), 0);
  const auto logit = [&](std::int32_t id) { return static_cast<double>(logits[static_cast<std::size_t>(id)]); };
  const auto likelier = [&](std::int32_t a, std::int32_t b) { return logit(a) != logit(b) ? logit(a) > logit(b) : a < b; };
  std::size_t kept = sampling.top_k > 0 ? std::min(ids_.size(), static_cast<std::size_t>(sampling.top_k)) : ids_.size();
  std::partial_sort(ids_.begin(), ids_.begin() + static_cast<std::ptrdiff_t>(kept), ids_.end(), likelier);
  const auto equals_last = [&, last = logit(ids_[kept - 1])](std::int32_t id) { return logit(id) == last; };
  const auto ties = std::stable_partition(ids_.begin() + static_cast<std::ptrdiff_t>(kept), ids_.end(), equals_last);
  std::sort(ids_.begin() + static_cast<std::ptrdiff_t>(kept), ties);
  kept = static_cast<std::size_t>(ties - ids_.begin());

  cumulative_.resize(kept);
  double sum = 0;
  for (std::size_t i = 0; i < kept; ++i) cumulative_[i] = sum += std::exp((logit(ids_[i]) - logit(ids_[0])) / sampling.temperature);
  const auto reaches = std::lower_bound(cumulative_.begin(), cumulative_.end(), sampling.top_p * sum) - cumulative_.begin();
  const std::size_t nucleus = std::min(static_cast<std::size_t>(reaches) + 1, kept);
  ids_.resize(nucleus);
  cumulative_.resize(nucleus);
}

double Distribution::share(std::size_t place) const {
  return (cumulative_[place] - (place == 0 ? 0 : cumulative_[place - 1])) / cumulative_.back();
}

double Distribution::probability(std::int32_t id) const {
  const auto place = static_cast<std::size_t>(std::ranges::find(ids_, id) - ids_.begin());
  return place == ids_.size() ? 0 : share(place);
}

std::int32_t Distribution::draw(Rng& rng) const {
  const auto place = std::upper_bound(cumulative_.begin(), cumulative_.end() - 1, rng.uniform() * cumulative_.back());
  return ids_[static_cast<std::size_t>(place - cumulative_.begin())];
}

std::int32_t Distribution::draw_beyond(const Distribution& other, Rng& rng) const {
  std::unordered_map<std::int32_t, double> others;
  for (std::size_t i = 0; i < other.ids_.size(); ++i) others[other.ids_[i]] = other.share(i);
  Distribution rest = *this;
  double sum = 0;
  for (std::size_t i = 0; i < ids_.size(); ++i) rest.cumulative_[i] = sum += std::max(0.0, share(i) - others[ids_[i]]);
  return sum > 0 ? rest.draw(rng) : draw(rng);  // of equal distributions only a rounding error refuses a token
}

bool takes(const Distribution& target, const Distribution& draft, std::int32_t id, Rng& rng) {
  return rng.uniform() * draft.probability(id) < target.probability(id);
}

std::int32_t choose(std::span<const float> logits, const Sampling& sampling, Rng& rng) {
  if (sampling.temperature > 0) return Distribution(logits, sampling).draw(rng);
  require_finite(logits);
  return likeliest(logits);
}

}  // namespace sluice::generate
