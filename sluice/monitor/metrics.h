// The figures of a training run, step by step: metrics.jsonl, written by training and read by everything that watches it.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sluice/base/file.h"
#include "sluice/base/json.h"

namespace sluice::monitor {

// One batch's losses, each already weighted: loss = lm_loss + aux_loss + z_loss + routing_supervision_loss. NaN where not finite.
struct Losses {
  double loss = 0, lm_loss = 0, aux_loss = 0, z_loss = 0, routing_supervision_loss = 0;
  std::optional<double> mtp_loss = std::nullopt;  // of models with multi-token prediction
};

// Share of a layer's token slots that each expert received, [layer][expert]; a layer's shares sum to 1.
using ExpertShares = std::vector<std::vector<double>>;

// One optimizer step; losses, gradient norm and learning rate are those before the step's update.
struct StepMetrics {
  std::int64_t step = 0;  // from 1
  Losses train;
  double learning_rate = 0, grad_norm = 0;
  std::int64_t tokens = 0;         // real tokens of the global batch (padding left out)
  std::int64_t target_tokens = 0;  // of those, the ones that lm_loss counts
  double seconds = 0, tokens_per_second = 0;
  std::optional<ExpertShares> expert_load;  // at the logging interval
  // Share of all token slots (tokens times layers times k) that found no place in their expert; absent where routing is dropless.
  std::optional<double> dropped_share;
  std::optional<Losses> validation;         // at the validation interval, with the weights after this step's update
  // Of a step that left the weights as they were: why, "nan" or "spike"; and the step whose checkpoint the run went back to, where it did.
  std::optional<std::string> skipped = std::nullopt;
  std::optional<std::int64_t> rolled_back_to = std::nullopt;
};

// One line of metrics.jsonl (docs/schemas/metrics.schema.json). Numbers that are not finite become null, and null reads as NaN.
OrderedJson to_json(const Losses& losses);
OrderedJson to_json(const StepMetrics& metrics);
Losses losses_from_json(const Json& value, const std::string& where);
StepMetrics step_metrics_from_json(const Json& value, const std::string& where);

// Appends to RUN/metrics.jsonl, one line a step, each in the file when write() returns.
class MetricsWriter {
 public:
  // Keeps the lines that are there; the half of a line that a kill left at the end is removed.
  explicit MetricsWriter(const fs::path& run_folder);
  void write(const StepMetrics& metrics);  // Error when the disk is full

  // For resume: drops the lines of steps past `step`, and lines that a crash left unreadable; returns the number of these. Atomic: after a
  // crash the old or the new file is there.
  std::int64_t truncate_after(std::int64_t step);

 private:
  fs::path path_;
  std::optional<FileDescriptor> file_;
};

// What becomes of a whole line that is not a step's figures: a crash of the machine may leave one.
enum class BadLines { kRefuse, kSkip };

// Reads RUN/metrics.jsonl, once or as it grows.
class MetricsReader {
 public:
  explicit MetricsReader(const fs::path& run_folder, BadLines bad_lines = BadLines::kRefuse);

  // Reads what was appended since the last call (a last line without its line end waits for the next call) and returns every step so
  // far, in file order. Starts over when a resume replaced the file. An absent file has no steps. Error ("file:line") on a bad line under kRefuse.
  const std::vector<StepMetrics>& poll();
  std::int64_t num_skipped() const { return skipped_; }  // bad lines so far, under kSkip

 private:
  void read_line(std::string_view line, std::int64_t number);

  fs::path path_;
  BadLines bad_lines_;
  std::uint64_t inode_ = 0;
  std::int64_t offset_ = 0, lines_ = 0, skipped_ = 0;
  std::vector<StepMetrics> steps_;
};

// The means of the last (at most) `count` logged expert loads: one step's load is noisy where batches are small. Empty when none is logged.
ExpertShares recent_expert_load(std::span<const StepMetrics> steps, int count = 10);

}  // namespace sluice::monitor
