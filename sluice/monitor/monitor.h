// `sluice monitor RUN` in the terminal: one screen of everything about a running or finished run.
#pragma once
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "sluice/monitor/hardware.h"
#include "sluice/monitor/metrics.h"
#include "sluice/monitor/run_folder.h"
#include "sluice/monitor/run_info.h"
#include "sluice/monitor/terminal.h"

namespace sluice::monitor {

enum class Refresh { kOnce, kUntilEnd };

struct MonitorOptions {
  Refresh refresh = Refresh::kUntilEnd;  // kOnce also where the output is no terminal
  double interval_s = 1;
  int log_lines = 8;
  Terminal terminal = {};  // of the output
};

// Shows RUN until it ends, or q or Ctrl-C is typed; returns the exit status. Error, with remedy, when RUN is not a run folder.
int run_monitor(const fs::path& run_folder, const MonitorOptions& options, std::ostream& out);

// Everything that one screen shows.
struct RunView {
  fs::path folder;
  std::optional<RunInfo> info;
  std::span<const StepMetrics> steps;
  std::int64_t unreadable_lines = 0;  // of metrics.jsonl
  HardwareSample hardware;
  std::vector<CheckpointEntry> checkpoints;
  EventFiles event_files;
  std::uint64_t free_disk_bytes = 0;
  std::vector<std::string> log_lines;
};

// The screen's lines, none wider than the terminal.
std::vector<std::string> frame(const RunView& view, const Terminal& terminal);

}  // namespace sluice::monitor
