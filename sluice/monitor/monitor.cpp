#include "sluice/monitor/monitor.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "sluice/base/error.h"

namespace sluice::monitor {
namespace {

// How long the first frame waits between its two looks at the processors.
constexpr auto kCpuWindow = std::chrono::milliseconds(200);

// The keyboard without echo or line buffering, and the signals that end the program as something to wait for; both as before at the end.
class Keyboard {
 public:
  Keyboard() {
    sigset_t ends;
    sigemptyset(&ends);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&ends, signal);
    pthread_sigmask(SIG_BLOCK, &ends, &old_mask_);
    signals_ = signalfd(-1, &ends, SFD_CLOEXEC);
    raw_ = isatty(STDIN_FILENO) == 1 && tcgetattr(STDIN_FILENO, &old_settings_) == 0;
    if (!raw_) return;
    termios settings = old_settings_;
    settings.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    tcsetattr(STDIN_FILENO, TCSANOW, &settings);
  }
  ~Keyboard() {
    if (raw_) tcsetattr(STDIN_FILENO, TCSANOW, &old_settings_);
    if (signals_ >= 0) {
      signalfd_siginfo seen;  // taken off the queue, or it would end the program when the mask is lifted
      pollfd waiting{signals_, POLLIN, 0};
      while (poll(&waiting, 1, 0) > 0 && read(signals_, &seen, sizeof seen) > 0) {
      }
      close(signals_);
    }
    pthread_sigmask(SIG_SETMASK, &old_mask_, nullptr);
  }
  Keyboard(const Keyboard&) = delete;
  Keyboard& operator=(const Keyboard&) = delete;

  // Waits; whether the user asked to leave.
  bool leave_within(double seconds) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    while (true) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now()).count();
      pollfd waiting[2] = {{signals_, POLLIN, 0}, {raw_ ? STDIN_FILENO : -1, POLLIN, 0}};  // poll skips a negative descriptor
      if (left <= 0 || poll(waiting, 2, static_cast<int>(left)) <= 0) return false;
      if (waiting[0].revents != 0) return true;
      char key = 0;
      if (read(STDIN_FILENO, &key, 1) <= 0 || key == 'q' || key == 'Q' || key == 3) return true;
    }
  }

 private:
  sigset_t old_mask_{};
  termios old_settings_{};
  int signals_ = -1;
  bool raw_ = false;
};

// The terminal's second screen, without a cursor, while it lives.
class Screen {
 public:
  explicit Screen(std::ostream& out) : out_(out) { out_ << "\x1b[?1049h\x1b[?25l" << std::flush; }
  ~Screen() { out_ << "\x1b[?25h\x1b[?1049l" << std::flush; }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;
  void show(const std::vector<std::string>& lines, int rows) {
    std::string text = "\x1b[H";
    for (std::size_t at = 0; at < std::min(lines.size(), static_cast<std::size_t>(rows - 1)); ++at) text += lines[at] + "\x1b[K\r\n";
    out_ << text << "\x1b[J" << std::flush;
  }

 private:
  std::ostream& out_;
};

void print(std::ostream& out, const std::vector<std::string>& lines) {
  for (const std::string& line : lines) out << line << '\n';
  out << std::flush;
}

// Looks at a run again and again.
class Watch {
 public:
  Watch(const fs::path& folder, int log_lines) : log_lines_(log_lines), metrics_(folder, BadLines::kSkip) {
    view_.folder = folder;
    view_.info = read_run_info(folder);
    const bool here = view_.info && alive(*view_.info) == Alive::kYes;
    hardware_.emplace(here ? view_.info->pid : 0);
    hardware_->sample();
    std::this_thread::sleep_for(kCpuWindow);
  }

  const RunView& look() {
    view_.info = read_run_info(view_.folder);
    view_.steps = metrics_.poll();
    view_.unreadable_lines = metrics_.num_skipped();
    view_.hardware = hardware_->sample();
    view_.checkpoints = list_checkpoints(view_.folder);
    view_.event_files = find_event_files(view_.folder);
    view_.free_disk_bytes = free_disk_bytes(view_.folder);
    view_.log_lines = last_log_lines(view_.folder, log_lines_);
    return view_;
  }

  bool ended() const { return view_.info && alive(*view_.info) == Alive::kNo; }

 private:
  int log_lines_;
  RunView view_;
  MetricsReader metrics_;
  std::optional<HardwareSampler> hardware_;
};

}  // namespace

int run_monitor(const fs::path& run_folder, const MonitorOptions& options, std::ostream& out) {
  check_run_folder(run_folder);
  Watch watch(run_folder, options.log_lines);
  if (options.refresh == Refresh::kOnce || !options.terminal.interactive) {
    print(out, frame(watch.look(), options.terminal));
    return 0;
  }
  std::vector<std::string> last;
  {
    Keyboard keyboard;
    Screen screen(out);
    Terminal terminal = options.terminal;
    do {
      const Terminal now = detect_terminal(STDOUT_FILENO);
      if (now.interactive) {  // the window may have been resized
        terminal.columns = now.columns;
        terminal.rows = now.rows;
      }
      last = frame(watch.look(), terminal);
      screen.show(last, terminal.rows);
    } while (!watch.ended() && !keyboard.leave_within(options.interval_s));
  }
  print(out, last);  // so that the last look stays in sight
  return 0;
}

}  // namespace sluice::monitor
