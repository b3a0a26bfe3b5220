// What a person sees while training runs: a few redrawn lines on a terminal, plain lines elsewhere.
#pragma once
#include <chrono>
#include <deque>
#include <mutex>
#include <ostream>
#include <string>
#include <vector>

#include "sluice/base/log.h"
#include "sluice/monitor/metrics.h"
#include "sluice/monitor/terminal.h"

namespace sluice::monitor {

struct DisplayOptions {
  std::string title;  // what runs, for the first line
  std::int64_t total_steps = 0;
  std::int64_t log_interval = 1;  // a plain line each so many steps, and for the first and the last
};

// "step 10/500  Loss: 2.3456  lm 2.3012  aux 0.0213  routing 0.1021  lr 1.0e-05  grad 1.23  4,321 tok/s  eta 03:12"; z-loss, the
// share of dropped token slots and validation loss stand there too where there are any.
std::string log_line(const StepMetrics& metrics, std::int64_t total_steps, double seconds_left);

// The lines of the live display, each at most the terminal's width: progress, losses, rates, and a bar an expert, a group a layer.
std::vector<std::string> live_lines(const StepMetrics& metrics, const ExpertShares& load, const DisplayOptions& options,
                                    const std::string& status, double seconds_left, const Terminal& terminal);

// Owns the bottom lines of the terminal from construction to finish(); `log`'s lines scroll above them. The plain lines go to the log
// (and so to log.txt) in both forms. `out` and `log` must outlive it. Thread-safe.
class Display {
 public:
  // `file_descriptor` is what `out` writes to: the terminal's size is asked again at each redraw.
  Display(std::ostream& out, int file_descriptor, Log& log, DisplayOptions options);
  Display(std::ostream& out, const Terminal& terminal, Log& log, DisplayOptions options);  // a terminal of fixed size
  ~Display();
  Display(const Display&) = delete;
  Display& operator=(const Display&) = delete;

  void update(const StepMetrics& metrics);
  void set_status(const std::string& status);  // "saving step-00000500"; empty: training
  void finish();                               // leaves the last lines standing; the log writes for itself again

 private:
  void take_over();
  void log_above(const std::string& line);
  void draw();
  std::vector<std::string> live_frame();
  std::string erasure() const;
  void show(std::string text, const std::vector<std::string>& lines);
  double seconds_left() const;

  std::mutex mutex_;  // never held while calling the log, whose sink takes it
  std::ostream& out_;
  int file_descriptor_ = -1;
  Terminal terminal_;
  Log& log_;
  DisplayOptions options_;
  std::string status_;
  StepMetrics last_;
  ExpertShares load_;
  std::deque<double> recent_seconds_;  // of the last steps, for the time left
  std::size_t lines_drawn_ = 0;
  std::chrono::steady_clock::time_point drawn_at_;
  bool finished_ = false;
};

}  // namespace sluice::monitor
