// What lies in a run folder beside its figures: checkpoints, event files, the log.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "sluice/base/file.h"

namespace sluice::monitor {

// Error, with remedy, unless `folder` is a run folder: it exists and has a run.json or a metrics.jsonl.
void check_run_folder(const fs::path& folder);

struct CheckpointEntry {
  std::string name;  // "step-00000500"
  std::int64_t step = 0;
  std::uint64_t size_bytes = 0;
  std::chrono::system_clock::time_point written;
};

// RUN/checkpoints/step-*, by step. Training may add and remove folders meanwhile: what vanishes is left out.
std::vector<CheckpointEntry> list_checkpoints(const fs::path& run_folder);

// RUN/events.out.tfevents.*
struct EventFiles {
  int count = 0;
  std::uint64_t size_bytes = 0;
};
EventFiles find_event_files(const fs::path& run_folder);

// The last `count` whole lines of RUN/log.txt, oldest first; reads only the end of the file.
std::vector<std::string> last_log_lines(const fs::path& run_folder, int count);

// The subfolders of `folder` that are run folders, by name.
std::vector<fs::path> list_runs(const fs::path& folder);

// A command-line word that a shell reads back as `text`.
std::string shell_quoted(const std::string& text);

}  // namespace sluice::monitor
