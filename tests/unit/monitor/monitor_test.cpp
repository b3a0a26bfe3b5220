#include "sluice/monitor/monitor.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

#include <fstream>
#include <iostream>
#include <sstream>
#include <thread>

#include "sluice/base/error.h"
#include "sluice/monitor/subprocess.h"
#include "tests/unit/monitor/made_up_run.h"

namespace sluice::monitor {
namespace {

std::string once(const fs::path& run) {
  std::ostringstream out;
  EXPECT_EQ(run_monitor(run, {.refresh = Refresh::kOnce}, out), 0);
  return out.str();
}

TEST(Monitor, ShowsOneFrameOfAFinishedRun) {
  const TemporaryFolder run;
  write_made_up_run(run.path(), 200);
  fs::create_directories(run.path() / "checkpoints/step-00000200");
  std::ofstream(run.path() / "checkpoints/step-00000200/weights") << std::string(2048, 'w');
  std::ofstream(run.path() / "log.txt") << "12:00:00 first\n12:00:01 \x1b[2Jlast\n";
  const std::string text = once(run.path());
  for (const char* part : {"finished", "mixtral-tiny, 4 MoE layers of 8 experts", "200/200", "100 %", "routing", "validation", "layer 3",
                           "layer 1, expert 5 receives 2.0 % of tokens", "fix: raise moe.router_aux_loss_coef", "CPU", "memory", "GPU",
                           "1, 2.0 KiB; newest step-00000200", "1 event file", "tensorboard --logdir", "12:00:00 first"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  }
  EXPECT_EQ(text.find('\x1b'), std::string::npos);  // neither ours (not a terminal) nor the log's
}

TEST(Monitor, ShowsARunThatHasNoStepYet) {
  const TemporaryFolder run;
  write_run_info(run.path(), made_up_info(10));
  EXPECT_NE(once(run.path()).find("no step is finished yet"), std::string::npos);
}

TEST(Monitor, SaysThatAKilledRunIsNotRunning) {
  const TemporaryFolder run;
  RunInfo info = made_up_info(10);
  info.pid = 0;
  write_run_info(run.path(), info);
  EXPECT_NE(once(run.path()).find("stopped without an end (killed?); resume with --resume latest"), std::string::npos);
}

TEST(Monitor, LeavesAnUnreadableLineOutAndSaysSo) {
  const TemporaryFolder run;
  write_made_up_run(run.path(), 20);
  const std::string good = read_file(run.path() / "metrics.jsonl");
  const auto second = good.find('\n') + 1;
  write_file_atomic(run.path() / "metrics.jsonl", good.substr(0, second) + "{\"step\": 2, \"lo\xff\n[]\n" + good.substr(second));
  EXPECT_THROW(MetricsReader(run.path()).poll(), Error);
  const std::string text = once(run.path());
  EXPECT_NE(text.find("20/20"), std::string::npos) << text;
  EXPECT_NE(text.find("2 lines are unreadable"), std::string::npos) << text;
}

TEST(Monitor, FollowsARunningRunUntilItEnds) {
  const TemporaryFolder run;
  write_run_info(run.path(), made_up_info(3));
  std::thread training([&] {
    MetricsWriter writer(run.path());
    for (std::int64_t step = 1; step <= 3; ++step) {
      writer.write(made_up_step(step, 3));
      std::this_thread::sleep_for(std::chrono::milliseconds(30));
    }
    RunInfo info = made_up_info(3);
    info.state = RunState::kFinished;
    write_run_info(run.path(), info);
  });
  std::ostringstream out;
  const Terminal terminal{.interactive = true, .unicode = true, .columns = 90, .rows = 50};
  EXPECT_EQ(run_monitor(run.path(), {.interval_s = 0.02, .terminal = terminal}, out), 0);
  training.join();
  EXPECT_NE(out.str().find("\x1b[?1049l"), std::string::npos);  // the first screen is back
  EXPECT_NE(out.str().substr(out.str().find("\x1b[?1049l")).find("3/3"), std::string::npos);
}

// Runs the monitor of a running run on a terminal of its own, types `key` once the first frame is there, and gives what the terminal got
// and how the monitor's process ended.
struct Session {
  std::string output;
  int status = -1;
  bool echoes_again = false;
};
Session type_into_monitor(const fs::path& run, const std::string& key) {
  Session session;
  winsize size{.ws_row = 40, .ws_col = 100, .ws_xpixel = 0, .ws_ypixel = 0};
  int master = -1, slave = -1;
  EXPECT_EQ(openpty(&master, &slave, nullptr, nullptr, &size), 0);
  const pid_t child = fork();
  if (child == 0) {
    if (login_tty(slave) != 0) _exit(3);
    setenv("TERM", "xterm", 1);
    _exit(run_monitor(run, {.interval_s = 0.05, .terminal = detect_terminal(STDOUT_FILENO)}, std::cout));
  }
  bool typed = false;
  while (waitpid(child, &session.status, WNOHANG) == 0) {
    pollfd waiting{master, POLLIN, 0};
    if (poll(&waiting, 1, 50) <= 0) continue;
    char chunk[4096];
    const ssize_t got = read(master, chunk, sizeof chunk);
    if (got > 0) session.output.append(chunk, static_cast<std::size_t>(got));
    if (!typed && session.output.find("Files") != std::string::npos) typed = write(master, key.data(), key.size()) > 0;
  }
  pollfd waiting{master, POLLIN, 0};
  char chunk[4096];
  for (ssize_t got = 1; got > 0 && poll(&waiting, 1, 0) > 0 && (got = read(master, chunk, sizeof chunk)) > 0;) {
    session.output.append(chunk, static_cast<std::size_t>(got));
  }
  termios settings{};
  session.echoes_again = tcgetattr(slave, &settings) == 0 && (settings.c_lflag & ECHO) != 0;
  close(slave);
  close(master);
  return session;
}

TEST(Monitor, LeavesOnQAndOnControlCAndGivesTheTerminalBack) {
  const TemporaryFolder run;
  write_run_info(run.path(), made_up_info(10));
  MetricsWriter(run.path()).write(made_up_step(1, 10));
  for (const std::string key : {"q", "xyzq", "\x03"}) {
    const Session session = type_into_monitor(run.path(), key);
    EXPECT_TRUE(WIFEXITED(session.status) && WEXITSTATUS(session.status) == 0) << session.status;
    EXPECT_NE(session.output.find("\x1b[?1049h"), std::string::npos);
    EXPECT_NE(session.output.find("\x1b[?25h\x1b[?1049l"), std::string::npos);
    EXPECT_TRUE(session.echoes_again);
  }
}

TEST(Monitor, ItsLinesFitTheTerminal) {
  const auto steps = made_up_steps(30);
  RunView view;
  view.folder = std::string(300, 'x');
  view.info = made_up_info(30);
  view.steps = steps;
  for (const std::string& line : frame(view, {.interactive = true, .color = true, .columns = 60, .rows = 24}))
    EXPECT_LT(display_width(line), 60) << line;
}

TEST(Monitor, RefusesWhatIsNotARunFolder) {
  const TemporaryFolder folder;
  std::ostringstream out;
  EXPECT_THROW(run_monitor(folder.path(), {}, out), Error);
}

TEST(Hardware, ReadsWhatNvidiaSmiPrints) {
  const auto gpus = parse_nvidia_smi(
      "0, NVIDIA H100 80GB HBM3, 87, 41234, 81559, 62, 512.33\n"
      "1, NVIDIA A30 MIG 1g.6gb, [N/A], 100, 6144, 40, [N/A]\n"
      "something else\n");
  ASSERT_EQ(gpus.size(), 2u);
  EXPECT_EQ(gpus[0].name, "NVIDIA H100 80GB HBM3");
  EXPECT_DOUBLE_EQ(*gpus[0].load, 0.87);
  EXPECT_EQ(*gpus[0].memory_used_bytes, 41234ull << 20);
  EXPECT_DOUBLE_EQ(*gpus[0].temperature_c, 62);
  EXPECT_DOUBLE_EQ(*gpus[0].power_w, 512.33);
  EXPECT_FALSE(gpus[1].load.has_value());
}

TEST(Hardware, ComputesLoadFromTheTicksBetweenTwoSamples) {
  const TemporaryFolder proc;
  const auto write_stat = [&](const std::string& first) { std::ofstream(proc.path() / "stat") << first << "\ncpu0 1\ncpu1 1\nintr 5\n"; };
  std::ofstream(proc.path() / "meminfo") << "MemTotal:       2048 kB\nMemFree: 1 kB\nMemAvailable:    512 kB\n";
  fs::create_directory(proc.path() / "77");
  std::ofstream(proc.path() / "77/status") << "Name:\tsluice\nVmRSS:\t  300 kB\n";
  HardwareSampler sampler(77, {.proc = proc.path(), .nvidia_smi = (proc.path() / "absent").string()});
  write_stat("cpu  100 0 100 800 0 0 0 0 9 9");
  const HardwareSample first = sampler.sample();
  EXPECT_FALSE(first.cpu_load.has_value());
  EXPECT_EQ(first.num_cpus, 2);
  EXPECT_EQ(first.memory_total_bytes, 2048u << 10);
  EXPECT_EQ(first.memory_available_bytes, 512u << 10);
  EXPECT_EQ(first.process_memory_bytes, 300u << 10);
  EXPECT_NE(first.gpu_note.find("is not installed"), std::string::npos);
  write_stat("cpu  120 0 110 860 10 0 0 0 9 9");  // 30 busy of 100
  EXPECT_DOUBLE_EQ(*sampler.sample().cpu_load, 0.3);
}

TEST(Hardware, ReadsThisMachine) {
  HardwareSampler sampler(getpid());
  const HardwareSample sample = sampler.sample();
  EXPECT_GE(sample.num_cpus, 1);
  EXPECT_GT(sample.memory_total_bytes, sample.memory_available_bytes);
  EXPECT_GT(sample.process_memory_bytes.value_or(0), 1u << 20);
}

TEST(Subprocess, GivesOutputOrTheReasonForNone) {
  EXPECT_EQ(run_program({"printf", "a,b"}, 5).output, "a,b");
  EXPECT_EQ(run_program({"false"}, 5).failure, "false failed");
  EXPECT_EQ(run_program({"no-such-program-here"}, 5).failure, "no-such-program-here is not installed");
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(run_program({"sleep", "20"}, 0.05).failure, "sleep did not answer in time");
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(10));
}

}  // namespace
}  // namespace sluice::monitor
