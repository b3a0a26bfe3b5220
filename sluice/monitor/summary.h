// summary.json: what a finished run came to.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "sluice/monitor/evaluation.h"
#include "sluice/monitor/metrics.h"

namespace sluice::monitor {

// The losses of one step; `validation` is the last one measured up to that step.
struct LossesAtStep {
  std::int64_t step = 0;
  Losses train;
  std::optional<Losses> validation;
};

struct Summary {
  std::int64_t steps = 0, tokens = 0, target_tokens = 0;
  double seconds = 0;                 // spent in steps; loading, validation and saving left out
  std::optional<double> dropped_share;  // of the token slots of all steps; absent where routing was dropless
  std::int64_t skipped_steps = 0, rollbacks = 0;  // steps that left the weights as they were; of these, those that went back to a checkpoint
  std::optional<LossesAtStep> final;  // the last step
  std::optional<LossesAtStep> best;   // the step of the lowest validation loss, or training loss where none was measured
  std::vector<double> peak_memory_gb;  // of each process, bytes / 1e9, by the caller; empty = not measured
  Evaluation evaluation;              // on held-out data, by the caller
};

// Everything but the evaluation, from a run's steps; so a resumed run counts its earlier parts too.
Summary summarize(std::span<const StepMetrics> steps);

// RUN/summary.json (docs/schemas/summary.schema.json, schema_version 1). Reading gives nothing when the run has none, and an Error
// when it is not one of ours.
void write_summary(const fs::path& run_folder, const Summary& summary);
std::optional<Summary> read_summary(const fs::path& run_folder);

}  // namespace sluice::monitor
