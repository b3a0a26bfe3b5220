// run.json: what is fixed about a run, and whether it is still going.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sluice/base/file.h"

namespace sluice::monitor {

enum class RunState { kRunning, kFinished, kInterrupted, kFailed };

// RUN/hf, the weights in Hugging Face's layout.
struct Exported {
  std::int64_t step = 0;  // whose weights they are
  bool outdated = false;  // the run has gone on since, or gone back: they are not those that it ends with
};

struct RunInfo {
  RunState state = RunState::kRunning;
  std::string detail;  // why it failed or was interrupted; may be empty
  std::int64_t pid = 0;
  std::string host;     // where `pid` lives
  std::string started;  // UTC, "2026-01-31T12:00:00Z"
  std::int64_t total_steps = 0;
  std::string model_name;
  std::int64_t num_layers = 0, num_experts = 0;  // MoE layers, and routed experts in each; 0 for a dense model
  std::vector<std::string> categories;           // label names by label number; empty without routing supervision
  std::string version;                           // of sluice
  std::optional<Exported> exported;              // nothing where none is known of
};

// A RunInfo of this process, running since now: pid, host and start time filled in.
RunInfo running_here();

std::string name(RunState state);  // "running", "finished", "interrupted", "failed"

void write_run_info(const fs::path& run_folder, const RunInfo& info);
// Nothing when the folder has no run.json; Error when it is not readable.
std::optional<RunInfo> read_run_info(const fs::path& run_folder);

// Whether the run is alive: kNo when its process has gone although it was never marked as ended (a kill -9, say), kUnknown when it
// lives on another machine.
enum class Alive { kYes, kNo, kUnknown };
Alive alive(const RunInfo& info);

}  // namespace sluice::monitor
