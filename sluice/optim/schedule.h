// The learning rate as a function of the step.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

namespace sluice::optim {

enum class Schedule { kCosine, kLinear, kConstant, kWsd };
constexpr std::array<std::string_view, 4> names(Schedule) { return {"cosine", "linear", "constant", "wsd"}; }

struct ScheduleShape {
  Schedule schedule = Schedule::kCosine;
  double peak = 0, floor = 0;
  std::int64_t warmup_steps = 0, total_steps = 0;
  double decay_fraction = 0.1;  // wsd (warm-up, stable, decay; arXiv:2404.06395): the share of steps that decays, linearly
};

// The last steps of a wsd run, in which the rate falls; at least one.
std::int64_t decay_steps(const ScheduleShape& shape);

// The rate of step `step`, from 1. Warm-up rises linearly and reaches the peak at step `warmup_steps`: no step has rate 0, unlike in
// HF and Megatron, whose first step changes nothing. After it the rate falls from the peak towards the floor, which the step after the
// last would have.
double learning_rate(const ScheduleShape& shape, std::int64_t step);

}  // namespace sluice::optim
