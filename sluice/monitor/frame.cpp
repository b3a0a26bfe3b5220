#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <numeric>
#include <span>

#include "sluice/monitor/monitor.h"
#include "sluice/monitor/numbers.h"
#include "sluice/monitor/utilization.h"

namespace sluice::monitor {
namespace {

using Lines = std::vector<std::string>;

constexpr int kLabelColumns = 14, kNumberColumns = 11;
constexpr std::size_t kStepsForRate = 20, kMaxLayers = 16, kMaxExperts = 16, kMaxWarnings = 4;

// "Label         text": the one form of this screen's rows.
std::string row(const std::string& label, const std::string& text) { return "  " + pad_right(label, kLabelColumns) + text; }

std::string heading(const Terminal& terminal, const std::string& text) { return paint(terminal, Color::kBold, text); }

// The mean seconds a step took lately.
double recent_step_seconds(std::span<const StepMetrics> steps) {
  const std::size_t count = std::min(kStepsForRate, steps.size());
  double sum = 0;
  for (std::size_t back = 1; back <= count; ++back) sum += steps[steps.size() - back].seconds;
  return count > 0 ? sum / static_cast<double>(count) : std::nan("");
}

std::string state_text(const RunInfo& info, const Terminal& terminal) {
  const Alive process = alive(info);
  if (info.state == RunState::kRunning && process == Alive::kNo) {
    return paint(terminal, Color::kRed, "stopped without an end (killed?)") + "; resume with --resume latest";
  }
  const Color color = info.state == RunState::kFailed ? Color::kRed : info.state == RunState::kInterrupted ? Color::kYellow : Color::kGreen;
  std::string text = paint(terminal, color, name(info.state));
  if (info.state == RunState::kRunning)
    text += "  pid " + std::to_string(info.pid) + (process == Alive::kUnknown ? " on " + printable(info.host) : "");
  if (!info.detail.empty()) text += ": " + printable(info.detail);
  return text;
}

void add_head(Lines& lines, const RunView& view, const Terminal& terminal) {
  const std::string state = view.info ? state_text(*view.info, terminal) : "no run.json: state unknown";
  lines.push_back(heading(terminal, "sluice monitor  " + printable(view.folder.string())) + "   " + state);
  const std::int64_t step = view.steps.empty() ? 0 : view.steps.back().step;
  if (!view.info) {
    lines.push_back(row("step", std::to_string(step)));
    return;
  }
  const RunInfo& info = *view.info;
  std::string model = printable(info.model_name);
  if (info.num_layers > 0)
    model += ", " + std::to_string(info.num_layers) + " MoE layers of " + std::to_string(info.num_experts) + " experts";
  lines.push_back(row("model", model + "   started " + printable(info.started)));
  const double fraction = info.total_steps > 0 ? static_cast<double>(step) / static_cast<double>(info.total_steps) : 0;
  std::string progress = std::to_string(step) + "/" + std::to_string(info.total_steps) + "  " +
                         paint(terminal, Color::kCyan, progress_bar(terminal, fraction, 30)) + "  " + format_fixed(100 * fraction, 0) +
                         " %";
  if (info.state == RunState::kRunning) {
    progress += "  eta " +
                format_duration(recent_step_seconds(view.steps) * static_cast<double>(std::max<std::int64_t>(0, info.total_steps - step)));
  }
  lines.push_back(row("step", progress));
}

void add_loss(Lines& lines, const std::string& label, const std::vector<double>& values, const Terminal& terminal) {
  if (values.empty()) return;
  double best = INFINITY;
  for (const double value : values) best = std::isfinite(value) ? std::min(best, value) : best;
  const int cells = std::clamp(terminal.columns - 1 - 2 - kLabelColumns - 2 * kNumberColumns - 2, 0, 60);
  lines.push_back(row(label, pad_left(format_fixed(values.back(), 4), kNumberColumns) + pad_left(format_fixed(best, 4), kNumberColumns) +
                                 "  " + paint(terminal, Color::kCyan, sparkline(terminal, values, cells))));
}

void add_losses(Lines& lines, const RunView& view, const Terminal& terminal) {
  if (view.steps.empty()) {
    lines.push_back("no step is finished yet");
    return;
  }
  const auto series = [&](const std::function<double(const StepMetrics&)>& pick) {
    std::vector<double> values;
    for (const StepMetrics& step : view.steps) values.push_back(pick(step));
    return values;
  };
  std::vector<double> validation;
  for (const StepMetrics& step : view.steps) {
    if (step.validation) validation.push_back(step.validation->loss);
  }
  const auto any = [](const std::vector<double>& values) {
    return std::any_of(values.begin(), values.end(), [](double value) { return value != 0; }) ? values : std::vector<double>{};
  };
  lines.push_back(heading(terminal, row("", pad_left("now", kNumberColumns) + pad_left("lowest", kNumberColumns) + "  course")));
  add_loss(lines, "loss", series([](const StepMetrics& s) { return s.train.loss; }), terminal);
  add_loss(lines, "lm", series([](const StepMetrics& s) { return s.train.lm_loss; }), terminal);
  add_loss(lines, "aux", any(series([](const StepMetrics& s) { return s.train.aux_loss; })), terminal);
  add_loss(lines, "z", any(series([](const StepMetrics& s) { return s.train.z_loss; })), terminal);
  add_loss(lines, "routing", any(series([](const StepMetrics& s) { return s.train.routing_supervision_loss; })), terminal);
  add_loss(lines, "validation", validation, terminal);
  const StepMetrics& last = view.steps.back();
  lines.push_back(row("speed", format_grouped(last.tokens_per_second) + " tok/s, " + format_short(last.seconds) + " s a step   lr " +
                                   format_scientific(last.learning_rate) + "   grad norm " + format_fixed(last.grad_norm, 2)));
}

std::string share_cell(double share, const ShareLimits& limits, const Terminal& terminal) {
  const std::string text = pad_left(format_fixed(100 * share, 1), 6);
  const Load load = load_of(share, limits);
  if (load == Load::kEven) return text;
  return paint(terminal, load == Load::kCollapsing ? Color::kRed : Color::kYellow, text);
}

void add_experts(Lines& lines, const RunView& view, const Terminal& terminal) {
  const ExpertShares load = recent_expert_load(view.steps);
  if (load.empty() || load.front().empty()) return;
  const ShareLimits limits(load.front().size());
  lines.push_back(heading(terminal, "Experts") + "  % of a layer's tokens, lately; even is " +
                  format_percent(1.0 / static_cast<double>(load.front().size())) + ", warnings under " + format_percent(limits.low) +
                  (std::isfinite(limits.high) ? " and over " + format_percent(limits.high) : ""));
  for (std::size_t layer = 0; layer < std::min(load.size(), kMaxLayers); ++layer) {
    const std::vector<double>& shares = load[layer];
    std::string cells;
    for (std::size_t expert = 0; expert < std::min(shares.size(), kMaxExperts); ++expert) {
      cells += share_cell(shares[expert], ShareLimits(shares.size()), terminal);
    }
    if (shares.size() > kMaxExperts) cells += "  ... of " + std::to_string(shares.size());
    lines.push_back(row("layer " + std::to_string(layer), cells));
  }
  if (load.size() > kMaxLayers) lines.push_back(row("", "... of " + std::to_string(load.size()) + " layers"));
  const auto warnings = load_warnings(load);
  for (std::size_t at = 0; at < std::min(warnings.size(), kMaxWarnings); ++at) {
    lines.push_back(paint(terminal, Color::kYellow, "  warning: " + describe(warnings[at], ShareLimits(load[warnings[at].layer].size()))));
  }
  if (warnings.size() > kMaxWarnings) lines.push_back("  ... " + std::to_string(warnings.size()) + " warnings in all");
  if (!warnings.empty()) lines.push_back("  fix: " + remedy(warnings.front().load));
}

void add_dropped(Lines& lines, const RunView& view) {
  if (view.steps.empty() || !view.steps.back().dropped_share) return;
  lines.push_back(row("dropped", format_percent(*view.steps.back().dropped_share) + " of the last step's token slots, beyond the experts' capacity"));
}

void add_hardware(Lines& lines, const HardwareSample& hardware, const Terminal& terminal) {
  lines.push_back(heading(terminal, "Hardware"));
  lines.push_back(row("CPU", (hardware.cpu_load ? format_fixed(100 * *hardware.cpu_load, 0) + " %" : "load not known yet") + " of " +
                                 std::to_string(hardware.num_cpus) + " processors"));
  const std::uint64_t used = hardware.memory_total_bytes - std::min(hardware.memory_total_bytes, hardware.memory_available_bytes);
  lines.push_back(
      row("memory", format_bytes(used) + " of " + format_bytes(hardware.memory_total_bytes) + " in use" +
                        (hardware.process_memory_bytes ? ", by this run " + format_bytes(*hardware.process_memory_bytes) : "")));
  if (hardware.gpus.empty()) lines.push_back(row("GPU", hardware.gpu_note));
  for (const GpuSample& gpu : hardware.gpus) {
    std::string text = printable(gpu.name) + "  " + (gpu.load ? format_fixed(100 * *gpu.load, 0) + " %" : "load n/a");
    if (gpu.memory_used_bytes && gpu.memory_total_bytes) {
      text += "  " + format_bytes(*gpu.memory_used_bytes) + " of " + format_bytes(*gpu.memory_total_bytes);
    }
    if (gpu.temperature_c) text += "  " + format_fixed(*gpu.temperature_c, 0) + (terminal.unicode ? " °C" : " C");
    if (gpu.power_w) text += "  " + format_fixed(*gpu.power_w, 0) + " W";
    lines.push_back(row("GPU " + printable(gpu.index), text));
  }
}

void add_files(Lines& lines, const RunView& view, const Terminal& terminal) {
  lines.push_back(heading(terminal, "Files"));
  std::string checkpoints = "none yet";
  if (!view.checkpoints.empty()) {
    const auto size = std::accumulate(view.checkpoints.begin(), view.checkpoints.end(), std::uint64_t{0},
                                      [](std::uint64_t sum, const CheckpointEntry& entry) { return sum + entry.size_bytes; });
    const std::chrono::duration<double> age = std::chrono::system_clock::now() - view.checkpoints.back().written;
    checkpoints = std::to_string(view.checkpoints.size()) + ", " + format_bytes(size) + "; newest " + view.checkpoints.back().name + ", " +
                  format_duration(age.count()) + " ago";
  }
  lines.push_back(row("checkpoints", checkpoints));
  const bool tight = !view.checkpoints.empty() && view.free_disk_bytes < 2 * view.checkpoints.back().size_bytes;
  lines.push_back(row("free disk", format_bytes(view.free_disk_bytes) +
                                       (tight ? paint(terminal, Color::kYellow, "  warning: less than two more checkpoints") : "")));
  const EventFiles& events = view.event_files;
  lines.push_back(row("TensorBoard", events.count == 0
                                         ? "no event files"
                                         : std::to_string(events.count) + (events.count == 1 ? " event file, " : " event files, ") +
                                               format_bytes(events.size_bytes) + "; view: tensorboard --logdir " +
                                               printable(shell_quoted(view.folder.string()))));
  if (view.unreadable_lines > 0) {
    const std::string lines_are = view.unreadable_lines == 1 ? " line is" : " lines are";
    lines.push_back(row("metrics.jsonl", paint(terminal, Color::kYellow, std::to_string(view.unreadable_lines) + lines_are + " unreadable and left out")));
  }
}

}  // namespace

std::vector<std::string> frame(const RunView& view, const Terminal& terminal) {
  Lines lines;
  add_head(lines, view, terminal);
  lines.emplace_back();
  add_losses(lines, view, terminal);
  lines.emplace_back();
  add_experts(lines, view, terminal);
  add_dropped(lines, view);
  add_hardware(lines, view.hardware, terminal);
  add_files(lines, view, terminal);
  lines.push_back(heading(terminal, "Log"));
  for (const std::string& line : view.log_lines) lines.push_back("  " + printable(line));
  // Only a screen has an edge; a file or a pipe gets whole lines.
  if (terminal.interactive) {
    for (std::string& line : lines) line = fit(line, terminal.columns - 1);
  }
  return lines;
}

}  // namespace sluice::monitor
