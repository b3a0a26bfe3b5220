// What each step leaves behind in the run folder: its line of metrics.jsonl, which is the record, and TensorBoard's events, a view of it.
#pragma once
#include <functional>
#include <memory>

#include "sluice/base/log.h"
#include "sluice/monitor/event_file.h"
#include "sluice/monitor/metrics.h"

namespace sluice::train {

enum class Events { kOn, kOff };

class Records {
 public:
  // Of a run that goes on after `last_step`: drops the lines past it.
  Records(const fs::path& run, std::int64_t last_step, Events events, Log& log);

  // Error when the line cannot be written. Events that cannot be written end with one warning: no run ends for want of them.
  void write(const monitor::StepMetrics& metrics);

  // A step whose line could not be written is saved all the same: then its line goes into the step folder, for a resume to put where it
  // belongs. Nothing where the line of `metrics` is written.
  void keep_unwritten(const monitor::StepMetrics& metrics, const fs::path& step_folder) const;
  void take_back(const fs::path& step_folder);

 private:
  void try_events(const std::function<void()>& write);

  fs::path run_;
  std::int64_t written_step_;
  Log& log_;
  monitor::MetricsWriter metrics_;
  std::unique_ptr<monitor::EventFile> events_;
};

}  // namespace sluice::train
