#include "sluice/optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace sluice::optim {

std::int64_t decay_steps(const ScheduleShape& shape) {
  return std::max<std::int64_t>(1, std::llround(static_cast<double>(shape.total_steps) * shape.decay_fraction));
}

double learning_rate(const ScheduleShape& shape, std::int64_t step) {
  if (step <= shape.warmup_steps) return shape.peak * static_cast<double>(step) / static_cast<double>(shape.warmup_steps);
  const auto done = static_cast<double>(step - 1 - shape.warmup_steps);
  const auto steps = static_cast<double>(std::max<std::int64_t>(1, shape.total_steps - shape.warmup_steps));
  const double progress = std::min(1.0, done / steps), range = shape.peak - shape.floor;
  switch (shape.schedule) {
    case Schedule::kConstant: return shape.peak;
    case Schedule::kLinear: return shape.floor + range * (1 - progress);
    case Schedule::kCosine: return shape.floor + range * 0.5 * (1 + std::cos(std::numbers::pi * progress));
    case Schedule::kWsd: break;
  }
  const auto total = static_cast<double>(shape.total_steps), decay = static_cast<double>(decay_steps(shape));
  const double into_decay = static_cast<double>(step - 1) - (total - decay);
  return into_decay <= 0 ? shape.peak : shape.floor + range * std::max(0.0, 1 - into_decay / decay);
}

}  // namespace sluice::optim
