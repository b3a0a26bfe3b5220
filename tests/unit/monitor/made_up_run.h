// Runs that no model made: figures with a known course, for tests.
#pragma once
#include <cmath>
#include <string>
#include <vector>

#include "sluice/base/file.h"
#include "sluice/monitor/event_file.h"
#include "sluice/monitor/metrics.h"
#include "sluice/monitor/run_info.h"
#include "sluice/monitor/summary.h"

namespace sluice::monitor {

// A folder that is empty at the beginning and gone at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (fs::temp_directory_path() / "sluice-monitor-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

// A deterministic wiggle in [-1, 1].
inline double wiggle(std::int64_t step, int phase) {
  return std::sin(static_cast<double>(step) * 1.7 + phase) * std::cos(static_cast<double>(step) * 0.37);
}

// Four layers of eight experts; layer 1's expert 5 starves to 2 % and its expert 0 takes what it lost.
inline ExpertShares made_up_load(std::int64_t step) {
  ExpertShares load(4, std::vector<double>(8, 0.125));
  for (int layer = 0; layer < 4; ++layer) {
    for (int expert = 0; expert < 8; expert += 2) {
      const double shift = 0.03 * wiggle(step, layer * 8 + expert);
      load[static_cast<std::size_t>(layer)][static_cast<std::size_t>(expert)] += shift;
      load[static_cast<std::size_t>(layer)][static_cast<std::size_t>(expert) + 1] -= shift;
    }
  }
  load[1] = {0.125 + 0.105 + 0.04, 0.125, 0.085, 0.125, 0.125, 0.02, 0.125, 0.125};
  return load;
}

inline StepMetrics made_up_step(std::int64_t step, std::int64_t total) {
  const double done = static_cast<double>(step) / static_cast<double>(total);
  StepMetrics metrics;
  metrics.step = step;
  metrics.train.lm_loss = 1.6 + 2.4 * std::exp(-5 * done) + 0.12 * wiggle(step, 1);
  metrics.train.aux_loss = 0.0205 + 0.002 * wiggle(step, 2);
  metrics.train.routing_supervision_loss = 0.02 + 0.11 * std::exp(-7 * done) + 0.004 * wiggle(step, 3);
  metrics.train.loss = metrics.train.lm_loss + metrics.train.aux_loss + metrics.train.routing_supervision_loss;
  metrics.learning_rate = done < 0.1 ? 1e-3 * done / 0.1 : 0.5e-3 * (1 + std::cos((done - 0.1) / 0.9 * 3.14159265358979));
  metrics.grad_norm = 1.2 + 0.5 * wiggle(step, 4) + 3 * std::exp(-20 * done);
  metrics.tokens = 2048;
  metrics.target_tokens = 700;
  metrics.seconds = 0.5 + 0.02 * wiggle(step, 5);
  metrics.tokens_per_second = 2048 / metrics.seconds;
  if (step == 1 || step % 10 == 0) metrics.expert_load = made_up_load(step);
  if (step % 50 == 0) {
    Losses validation = metrics.train;
    validation.lm_loss = 1.7 + 2.2 * std::exp(-5 * done);
    validation.loss = validation.lm_loss + validation.aux_loss + validation.routing_supervision_loss;
    metrics.validation = validation;
  }
  return metrics;
}

inline std::vector<StepMetrics> made_up_steps(std::int64_t total) {
  std::vector<StepMetrics> steps;
  for (std::int64_t step = 1; step <= total; ++step) steps.push_back(made_up_step(step, total));
  return steps;
}

inline RunInfo made_up_info(std::int64_t total) {
  RunInfo info = running_here();
  info.total_steps = total;
  info.model_name = "mixtral-tiny";
  info.num_layers = 4;
  info.num_experts = 8;
  info.categories = {"factual_lookup", "numerical_reasoning", "multi_hop_reasoning", "commonsense_reasoning"};
  info.version = "0.1.0";
  return info;
}

inline Evaluation made_up_evaluation() {
  Evaluation evaluation;
  evaluation.lm_loss = 1.7;
  evaluation.perplexity = std::exp(1.7);
  evaluation.exact_match = 0.41;
  RoutingFigures& routing = evaluation.routing.emplace();
  routing.accuracy = 0.912;
  routing.mutual_information_nats = 0.43;
  routing.kl = 0.19;
  routing.expert_share = made_up_load(7);
  routing.label_expert = {{0.31, 0.29, 0.07, 0.06, 0.08, 0.05, 0.07, 0.07},
                          {0.06, 0.05, 0.33, 0.30, 0.07, 0.06, 0.07, 0.06},
                          {0.07, 0.06, 0.06, 0.07, 0.30, 0.31, 0.07, 0.06},
                          {0.06, 0.07, 0.05, 0.07, 0.07, 0.06, 0.31, 0.31}};
  return evaluation;
}

// A whole finished run in `folder`, as training leaves it (without weights).
inline void write_made_up_run(const fs::path& folder, std::int64_t total) {
  RunInfo info = made_up_info(total);
  info.state = RunState::kFinished;
  write_run_info(folder, info);
  MetricsWriter writer(folder);
  EventFile events(folder, 1);
  const auto steps = made_up_steps(total);
  for (const StepMetrics& step : steps) {
    writer.write(step);
    events.write(step.step, scalars_of(step));
  }
  Summary summary = summarize(steps);
  summary.evaluation = made_up_evaluation();
  write_summary(folder, summary);
}

}  // namespace sluice::monitor
