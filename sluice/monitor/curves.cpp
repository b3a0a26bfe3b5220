#include "sluice/monitor/curves.h"

#include <algorithm>
#include <cmath>

namespace sluice::monitor {

std::vector<Point> loss_points(std::span<const StepMetrics> steps, double Losses::*loss, Figures figures) {
  std::vector<Point> out;
  for (const StepMetrics& step : steps) {
    const double x = static_cast<double>(step.step);
    if (figures == Figures::kTraining)
      out.push_back({x, step.train.*loss});
    else if (step.validation)
      out.push_back({x, (*step.validation).*loss});
  }
  return out;
}

std::vector<Point> step_points(std::span<const StepMetrics> steps, double StepMetrics::*figure) {
  std::vector<Point> out;
  for (const StepMetrics& step : steps) out.push_back({static_cast<double>(step.step), step.*figure});
  return out;
}

std::vector<Point> dropped_points(std::span<const StepMetrics> steps) {
  std::vector<Point> out;
  for (const StepMetrics& step : steps) {
    if (step.dropped_share) out.push_back({static_cast<double>(step.step), *step.dropped_share});
  }
  return out;
}

bool is_used(const std::vector<Point>& points) {
  return std::any_of(points.begin(), points.end(), [](const Point& point) { return point.y != 0; });
}

double typical_tokens_per_second(std::span<const StepMetrics> steps) {
  std::vector<double> rates;
  for (const StepMetrics& step : steps) {
    if (std::isfinite(step.tokens_per_second)) rates.push_back(step.tokens_per_second);
  }
  if (rates.empty()) return std::nan("");
  const auto middle = rates.begin() + static_cast<std::ptrdiff_t>(rates.size() / 2);
  std::nth_element(rates.begin(), middle, rates.end());
  return *middle;
}

}  // namespace sluice::monitor
