// Choosing the next token from its logits.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "sluice/base/error.h"
#include "sluice/base/rng.h"

namespace sluice::generate {

struct Sampling {
  double temperature = 0;  // divides the logits; 0 = greedy: always the likeliest token
  std::int64_t top_k = 0;  // only the k likeliest tokens; 0 = all
  double top_p = 1;        // only the likeliest tokens that together reach this probability (nucleus, arXiv:1904.09751); 1 = all
  // Makes tokens that are there already less likely (CTRL, arXiv:1909.05858): their logits are divided by it where positive, multiplied
  // where negative. 1 = not at all; below 1, more likely.
  double repetition_penalty = 1;

  void check(Violations& violations) const;
};

// Applies the penalty to `logits` [vocab], once to each token of `ids` (prompt and new ones), as HF does: before temperature and all else.
void penalize_repetition(std::span<float> logits, std::span<const std::int32_t> ids, double penalty);

// What a Sampling leaves of logits [vocab]: the tokens that can come next, and how likely each is. Temperature comes first, then top_k, then
// top_p of what is left, as HF orders them; what equals the k-th is kept too. Greedy leaves the likeliest token alone.
class Distribution {
 public:
  // Error when a logit is not a number or the largest is not finite.
  Distribution(std::span<const float> logits, const Sampling& sampling);

  double probability(std::int32_t id) const;  // 0 for what cannot come
  std::int32_t draw(Rng& rng) const;          // takes one number of `rng`
  // A token by the rest max(0, this - other), normalised: what makes a draw from `other` that was not taken one from this (see takes).
  std::int32_t draw_beyond(const Distribution& other, Rng& rng) const;

 private:
  double share(std::size_t place) const;  // the probability of ids_[place]

  std::vector<std::int32_t> ids_;   // likeliest first, of equals the lower id
  std::vector<double> cumulative_;  // of exp(logit / temperature) over the largest: not normalised
};

// Whether `id`, drawn from `draft`, is taken in place of a draw from `target`: always where target holds it as likely, else in proportion.
// With target.draw_beyond(draft) where not, what comes is distributed as `target` whatever `draft` is (arXiv:2211.17192, theorem 3.5).
bool takes(const Distribution& target, const Distribution& draft, std::int32_t id, Rng& rng);

// A token of `logits` [vocab] by its Distribution. Takes one number of `rng` unless greedy. Error as there.
std::int32_t choose(std::span<const float> logits, const Sampling& sampling, Rng& rng);

}  // namespace sluice::generate
