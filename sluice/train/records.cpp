#include "sluice/train/records.h"

#include "sluice/base/error.h"

namespace sluice::train {
namespace {

constexpr const char* kUnwritten = "unwritten_metrics.json";

}  // namespace

Records::Records(const fs::path& run, std::int64_t last_step, Events events, Log& log) : run_(run), written_step_(last_step), log_(log), metrics_(run) {
  if (const std::int64_t broken = metrics_.truncate_after(last_step); broken > 0) {
    log_.warning(std::to_string(broken) + " unreadable lines of " + (run / "metrics.jsonl").string() + " are dropped; the steps that they told of stay without figures");
  }
  if (events == Events::kOn) try_events([&] { events_ = std::make_unique<monitor::EventFile>(run, last_step + 1); });
}

void Records::write(const monitor::StepMetrics& metrics) {
  metrics_.write(metrics);
  written_step_ = metrics.step;
  if (events_) try_events([&] { events_->write(metrics.step, monitor::scalars_of(metrics)); });
}

void Records::try_events(const std::function<void()>& write) {
  try {
    write();
  } catch (const Error& error) {
    events_.reset();
    log_.warning(error.problem() + "; TensorBoard's events end here (step " + std::to_string(written_step_) +
                 "), and metrics.jsonl goes on: a resume begins a new event file");
  }
}

void Records::keep_unwritten(const monitor::StepMetrics& metrics, const fs::path& step_folder) const {
  if (metrics.step <= written_step_) return;
  write_file_atomic(step_folder / "trainer" / kUnwritten, dump_json(monitor::to_json(metrics)) + "\n");
}

void Records::take_back(const fs::path& step_folder) {
  const fs::path path = step_folder / "trainer" / kUnwritten;
  if (!fs::exists(path)) return;
  const monitor::StepMetrics metrics = monitor::step_metrics_from_json(parse_json(read_file(path), path.string()), path.string());
  monitor::MetricsReader reader(run_);
  const auto& steps = reader.poll();
  if (steps.empty() || steps.back().step < metrics.step) metrics_.write(metrics);
}

}  // namespace sluice::train
