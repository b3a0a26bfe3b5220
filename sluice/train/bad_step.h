// Steps whose gradient should not be followed: not a number, or far larger than those before.
#pragma once
#include <cstdint>

namespace sluice::train {

// The running mean of the gradient norms of the steps that were taken. Saved with the run, so that a resumed one judges alike.
struct GradientNorms {
  double mean = 0;
  std::int64_t count = 0;

  // Every norm counts the same among the first 100; after that the mean follows the last hundred or so.
  void add(double norm);
  // Whether `norm` is above `factor` times the mean; never while the mean is of fewer than 10 norms.
  bool is_spike(double norm, double factor) const;
};

// The larger, the worse.
enum class Judgement { kGood, kSpike, kNotFinite };

}  // namespace sluice::train
