#include "sluice/train/run_folder.h"

#include "sluice/base/error.h"
#include "sluice/monitor/evaluation.h"

namespace sluice::train {

void make_run_folder(const fs::path& output) {
  std::error_code failure;
  fs::create_directories(output, failure);
  if (failure) throw Error("cannot make the run folder " + output.string() + ": " + failure.message(), "give another --output-dir");
}

void clear_run_folder(const fs::path& output) {
  for (const char* name : {"checkpoints", "hf", "logs", "trace", "traffic", "summary.json", "report.html", "log.txt", "config.yaml", "samples.json", monitor::kEvaluationBefore}) fs::remove_all(output / name);
  for (const auto& entry : fs::directory_iterator(output)) {
    if (entry.path().filename().string().starts_with("events.out.tfevents.")) fs::remove(entry.path());
  }
  for (const char* name : {"metrics.jsonl", "run.json"}) fs::remove(output / name);  // last: after a kill in between there is still a run to overwrite
}

}  // namespace sluice::train
