// Reports that a browser shows without a server or a network.
#pragma once
#include <string>
#include <vector>

#include "sluice/base/file.h"

namespace sluice::monitor {

// RUN/report.html: key figures, warnings with remedies, curves, expert load, labels by expert, sample answers, settings, checkpoints; of
// a running or a finished run, from its files alone. Parts whose files are absent are left out. Error when RUN is not a run folder.
void write_report(const fs::path& run_folder);

// A run of a sweep that did not come to its end, and why; its folder may hold the part before that, or not be there.
struct FailedRun {
  std::string name;  // of its folder in the sweep's
  std::string problem;
};

// SWEEP/comparison.html over the runs in the folder's subfolders: the settings in which they differ beside what came of them, their
// curves laid over each other, and what failed. Error when the folder holds no run and nothing failed.
void write_comparison(const fs::path& sweep_folder, const std::vector<FailedRun>& failed = {});

}  // namespace sluice::monitor
