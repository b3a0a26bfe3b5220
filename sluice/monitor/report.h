// Reports that a browser shows without a server or a network.
#pragma once
#include "sluice/base/file.h"

namespace sluice::monitor {

// RUN/report.html: key figures, warnings with remedies, curves, expert load, labels by expert, sample answers, settings, checkpoints; of
// a running or a finished run, from its files alone. Parts whose files are absent are left out. Error when RUN is not a run folder.
void write_report(const fs::path& run_folder);

// SWEEP/comparison.html over the runs in the folder's subfolders: the settings in which they differ beside what came of them, and their
// curves laid over each other. Error when the folder holds no run.
void write_comparison(const fs::path& sweep_folder);

}  // namespace sluice::monitor
