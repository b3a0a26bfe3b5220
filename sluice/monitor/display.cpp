#include "sluice/monitor/display.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "sluice/monitor/numbers.h"
#include "sluice/monitor/utilization.h"

namespace sluice::monitor {
namespace {

constexpr auto kRedrawInterval = std::chrono::milliseconds(100);
constexpr std::size_t kStepsForRate = 20;
constexpr std::size_t kMaxExpertLines = 6;

bool is_logged(std::int64_t step, const DisplayOptions& options) {
  return step == 1 || step == options.total_steps || step % std::max<std::int64_t>(1, options.log_interval) == 0;
}

// One layer's bars: a full bar is two even shares; experts out of their limits are coloured.
std::string layer_bars(std::size_t layer, const std::vector<double>& shares, const Terminal& terminal) {
  const ShareLimits limits(shares.size());
  std::string bars;
  for (const double share : shares) {
    const std::string bar = level(terminal, std::min(1.0, share * static_cast<double>(shares.size()) / 2));
    const Load load = load_of(share, limits);
    if (load == Load::kCollapsing)
      bars += paint(terminal, Color::kRed, bar == " " ? "_" : bar);
    else
      bars += load == Load::kOverloaded ? paint(terminal, Color::kYellow, bar) : bar;
  }
  return std::to_string(layer) + " [" + bars + "]";
}

std::vector<std::string> expert_lines(const ExpertShares& load, const Terminal& terminal) {
  const std::string head = "experts  ";
  std::vector<std::string> lines;
  std::string line = head;
  for (std::size_t layer = 0; layer < load.size(); ++layer) {
    const std::string bars = layer_bars(layer, load[layer], terminal);
    if (line.size() > head.size() && display_width(line) + display_width(bars) + 2 >= terminal.columns) {
      lines.push_back(line);
      line = std::string(head.size(), ' ');
    }
    line += (line.size() > head.size() ? "  " : "") + bars;
  }
  if (!load.empty()) lines.push_back(line);
  if (lines.size() > kMaxExpertLines) {
    lines.resize(kMaxExpertLines - 1);
    lines.push_back(std::string(head.size(), ' ') + "... " + std::to_string(load.size()) + " layers in all");
  }
  if (const auto warnings = load_warnings(load); !warnings.empty()) {
    const ShareLimits limits(load[warnings.front().layer].size());
    std::string text = "warning: " + describe(warnings.front(), limits);
    if (warnings.size() > 1) text += ", and " + std::to_string(warnings.size() - 1) + " more";
    lines.push_back(paint(terminal, Color::kYellow, text));
  }
  return lines;
}

std::string loss_figures(const StepMetrics& metrics) {
  std::string out = "lm " + format_fixed(metrics.train.lm_loss, 4) + "  aux " + format_fixed(metrics.train.aux_loss, 4) + "  routing " +
                    format_fixed(metrics.train.routing_supervision_loss, 4);
  if (metrics.train.z_loss != 0) out += "  z " + format_fixed(metrics.train.z_loss, 4);
  return out;
}

std::string rate_figures(const StepMetrics& metrics) {
  return "lr " + format_scientific(metrics.learning_rate) + "  grad " + format_fixed(metrics.grad_norm, 2) + "  " +
         format_grouped(metrics.tokens_per_second) + " tok/s" +
         (metrics.dropped_share ? "  dropped " + format_percent(*metrics.dropped_share) : "");
}

}  // namespace

std::string log_line(const StepMetrics& metrics, std::int64_t total_steps, double seconds_left) {
  std::string out = "step " + std::to_string(metrics.step) + "/" + std::to_string(total_steps) +
                    "  Loss: " + format_fixed(metrics.train.loss, 4) + "  " + loss_figures(metrics) + "  " + rate_figures(metrics) +
                    "  eta " + format_duration(seconds_left);
  if (metrics.validation) out += "  validation " + format_fixed(metrics.validation->loss, 4);
  return out;
}

std::vector<std::string> live_lines(const StepMetrics& metrics, const ExpertShares& load, const DisplayOptions& options,
                                    const std::string& status, double seconds_left, const Terminal& terminal) {
  const double fraction = options.total_steps > 0 ? static_cast<double>(metrics.step) / static_cast<double>(options.total_steps) : 0;
  const std::string head =
      printable(options.title) + "  step " + std::to_string(metrics.step) + "/" + std::to_string(options.total_steps) + "  ";
  const std::string tail = "  " + format_fixed(100 * fraction, 0) + " %  eta " + format_duration(seconds_left) +
                           (status.empty() ? "" : "  " + printable(status));
  const int cells = std::clamp(terminal.columns - 1 - display_width(head) - display_width(tail), 4, 40);
  std::vector<std::string> lines = {paint(terminal, Color::kBold, head) +
                                    paint(terminal, Color::kCyan, progress_bar(terminal, fraction, cells)) + tail};
  std::string losses = paint(terminal, Color::kBold, "loss " + format_fixed(metrics.train.loss, 4)) + "  " + loss_figures(metrics);
  if (metrics.validation) losses += paint(terminal, Color::kGreen, "  validation " + format_fixed(metrics.validation->loss, 4));
  lines.push_back(losses);
  lines.push_back(rate_figures(metrics));
  for (std::string& line : expert_lines(load, terminal)) lines.push_back(std::move(line));
  // One column stays free: a full line makes some terminals wrap.
  for (std::string& line : lines) line = fit(line, terminal.columns - 1);
  if (lines.size() >= static_cast<std::size_t>(terminal.rows)) lines.resize(static_cast<std::size_t>(std::max(1, terminal.rows - 1)));
  return lines;
}

Display::Display(std::ostream& out, int file_descriptor, Log& log, DisplayOptions options)
    : out_(out), file_descriptor_(file_descriptor), terminal_(detect_terminal(file_descriptor)), log_(log), options_(std::move(options)) {
  take_over();
}

Display::Display(std::ostream& out, const Terminal& terminal, Log& log, DisplayOptions options)
    : out_(out), terminal_(terminal), log_(log), options_(std::move(options)) {
  take_over();
}

void Display::take_over() {
  if (terminal_.interactive) log_.set_sink([this](const std::string& line) { log_above(line); });
}

Display::~Display() { finish(); }

void Display::update(const StepMetrics& metrics) {
  double left = 0;
  {
    const std::lock_guard lock(mutex_);
    const std::optional<Losses> validation = metrics.validation ? metrics.validation : last_.validation;
    last_ = metrics;
    last_.validation = validation;  // stays in sight until the next one
    if (metrics.expert_load) load_ = *metrics.expert_load;
    recent_seconds_.push_back(metrics.seconds);
    if (recent_seconds_.size() > kStepsForRate) recent_seconds_.pop_front();
    left = seconds_left();
    const bool due = std::chrono::steady_clock::now() - drawn_at_ >= kRedrawInterval || metrics.step == options_.total_steps;
    if (terminal_.interactive && due && !finished_) draw();
  }
  if (!is_logged(metrics.step, options_)) return;
  const std::string line = log_line(metrics, options_.total_steps, left);
  if (terminal_.interactive)
    log_.file_only(line);
  else
    log_.info(line);
}

void Display::set_status(const std::string& status) {
  const std::lock_guard lock(mutex_);
  status_ = status;
  if (terminal_.interactive && !finished_) draw();
}

void Display::finish() {
  if (terminal_.interactive) log_.set_sink(nullptr);
  const std::lock_guard lock(mutex_);
  if (finished_) return;
  finished_ = true;
  if (!terminal_.interactive || last_.step == 0) return;
  status_.clear();
  draw();
}

void Display::log_above(const std::string& line) {
  const std::lock_guard lock(mutex_);
  const bool redraw = last_.step > 0 && !finished_;
  show(erasure() + line + "\n", redraw ? live_frame() : std::vector<std::string>{});
}

void Display::draw() { show(erasure(), live_frame()); }

std::vector<std::string> Display::live_frame() {
  if (file_descriptor_ >= 0) {
    const Terminal now = detect_terminal(file_descriptor_);
    terminal_.columns = now.columns;
    terminal_.rows = now.rows;
  }
  return live_lines(last_, load_, options_, status_, seconds_left(), terminal_);
}

std::string Display::erasure() const { return lines_drawn_ == 0 ? "" : "\x1b[" + std::to_string(lines_drawn_) + "A\r\x1b[J"; }

// One write, so that standard error, which has no buffer, does not flicker.
void Display::show(std::string text, const std::vector<std::string>& lines) {
  for (const std::string& line : lines) text += line + "\n";
  out_ << text << std::flush;
  lines_drawn_ = lines.size();
  drawn_at_ = std::chrono::steady_clock::now();
}

double Display::seconds_left() const {
  if (recent_seconds_.empty()) return std::nan("");
  const double mean = std::accumulate(recent_seconds_.begin(), recent_seconds_.end(), 0.0) / static_cast<double>(recent_seconds_.size());
  return mean * static_cast<double>(std::max<std::int64_t>(0, options_.total_steps - last_.step));
}

}  // namespace sluice::monitor
