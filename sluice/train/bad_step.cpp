#include "sluice/train/bad_step.h"

#include <algorithm>

namespace sluice::train {
namespace {

constexpr std::int64_t kWindow = 100, kFewest = 10;

}  // namespace

void GradientNorms::add(double norm) {
  ++count;
  mean += (norm - mean) / static_cast<double>(std::min(count, kWindow));
}

bool GradientNorms::is_spike(double norm, double factor) const { return count >= kFewest && norm > factor * mean; }

}  // namespace sluice::train
