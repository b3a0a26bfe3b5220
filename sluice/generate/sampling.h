// Choosing the next token from its logits.
#pragma once
#include <cstdint>
#include <span>

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

// A token of `logits` [vocab]: temperature first, then top_k, then top_p of what is left, as HF orders them; what equals the k-th is kept
// too. Of equal logits the lower id comes first. Takes one number of `rng` unless greedy. Error when a logit is not a number or the
// largest is not finite.
std::int32_t choose(std::span<const float> logits, const Sampling& sampling, Rng& rng);

}  // namespace sluice::generate
