// The curves of a run's figures, picked from its steps.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "sluice/monitor/chart.h"
#include "sluice/monitor/metrics.h"

namespace sluice::monitor {

enum class Figures { kTraining, kValidation };

// One of the losses by step, in training or at validation.
std::vector<Point> loss_points(std::span<const StepMetrics> steps, double Losses::*loss, Figures figures);

// Another figure of the steps (learning_rate, ...) by step.
std::vector<Point> step_points(std::span<const StepMetrics> steps, double StepMetrics::*figure);

// The share of dropped token slots by step; empty where routing is dropless.
std::vector<Point> dropped_points(std::span<const StepMetrics> steps);

// Whether any point differs from 0: a loss that a run does not have is 0 throughout, and needs no curve.
bool is_used(const std::vector<Point>& points);

// The middle one of the steps' tokens per second: robust against a slow first step. NaN without steps.
double typical_tokens_per_second(std::span<const StepMetrics> steps);

}  // namespace sluice::monitor
