#include "sluice/monitor/display.h"

#include <gtest/gtest.h>

#include <regex>
#include <sstream>
#include <thread>

#include "tests/unit/monitor/made_up_run.h"

namespace sluice::monitor {
namespace {

// What a terminal would show of `output`: text, line ends, cursor up and erase to the end of the screen.
std::vector<std::string> screen_of(const std::string& output) {
  const std::regex command("^\x1b\\[([0-9]*)([AJm])");
  std::vector<std::string> lines(1);
  for (std::size_t at = 0; at < output.size();) {
    std::smatch match;
    const std::string rest = output.substr(at, 8);
    if (std::regex_search(rest, match, command)) {
      if (match[2] == "A") {
        const std::size_t up = std::stoul(match[1]);
        EXPECT_LT(up, lines.size()) << "cursor past the top";
        lines.resize(lines.size() - up);
      }
      if (match[2] == "J") lines.back().clear();
      at += static_cast<std::size_t>(match.length());
      continue;
    }
    if (output[at] == '\n')
      lines.emplace_back();
    else if (output[at] != '\r')
      lines.back() += output[at];
    ++at;
  }
  return lines;
}

const DisplayOptions kOptions = {.title = "mixtral-tiny", .total_steps = 40, .log_interval = 10};

TEST(Display, LogLineIsWhatPeopleGrepFor) {
  StepMetrics metrics;
  metrics.step = 10;
  metrics.train = {.loss = 2.34561, .lm_loss = 2.3012, .aux_loss = 0.0213, .z_loss = 0, .routing_supervision_loss = 0.1021};
  metrics.learning_rate = 1e-5;
  metrics.grad_norm = 1.234;
  metrics.tokens_per_second = 4321;
  EXPECT_EQ(log_line(metrics, 500, 192),
            "step 10/500  Loss: 2.3456  lm 2.3012  aux 0.0213  routing 0.1021  lr 1.0e-05  grad 1.23  4,321 tok/s  eta 03:12");
}

TEST(Display, ElsewhereThanOnATerminalItLogsPlainLinesAtTheInterval) {
  const TemporaryFolder run;
  std::ostringstream out;
  Log log(LogLevel::kWarning);
  log.open_file(run.path() / "log.txt");
  {
    Display display(out, Terminal{}, log, kOptions);
    for (std::int64_t step = 1; step <= 40; ++step) display.update(made_up_step(step, 40));
  }
  EXPECT_EQ(out.str(), "");  // the log writes, not the display
  std::istringstream lines(read_file(run.path() / "log.txt"));
  std::vector<std::string> seen;
  for (std::string line; std::getline(lines, line);) seen.push_back(line.substr(9, line.find("  Loss:") - 9));  // after the time of day
  EXPECT_EQ(seen, (std::vector<std::string>{"step 1/40", "step 10/40", "step 20/40", "step 30/40", "step 40/40"}));
}

TEST(Display, RedrawsInPlaceAndLetsLogLinesScrollAboveWhole) {
  const TemporaryFolder run;
  std::ostringstream out;
  Log log;
  log.open_file(run.path() / "log.txt");
  {
    Display display(out, Terminal{.interactive = true, .unicode = true, .columns = 100, .rows = 30}, log, kOptions);
    log.info("before the first step");
    for (std::int64_t step = 1; step <= 40; ++step) {
      display.update(made_up_step(step, 40));
      if (step == 20) log.warning("something to act on");
      if (step == 30) display.set_status("saving step-00000030");
    }
  }
  log.set_sink([](const std::string&) {});  // the display has let go of the log
  const auto screen = screen_of(out.str());
  ASSERT_GE(screen.size(), 6u);
  EXPECT_EQ(screen[0], "before the first step");
  EXPECT_EQ(screen[1], "warning: something to act on");
  EXPECT_TRUE(screen[2].starts_with("mixtral-tiny  step 40/40")) << screen[2];
  EXPECT_NE(screen[2].find("100 %"), std::string::npos);
  EXPECT_TRUE(screen[3].starts_with("loss ")) << screen[3];
  EXPECT_NE(read_file(run.path() / "log.txt").find("step 40/40  Loss: "), std::string::npos);
}

TEST(Display, NoLineIsWiderThanTheTerminalNorTheBlockHigher) {
  for (const int columns : {20, 40, 80, 200}) {
    const Terminal terminal{.interactive = true, .color = true, .unicode = true, .columns = columns, .rows = 5};
    const auto lines = live_lines(made_up_step(10, 40), made_up_load(10), kOptions, "validating", 12, terminal);
    EXPECT_LT(lines.size(), 5u);
    for (const std::string& line : lines) EXPECT_LT(display_width(line), columns) << line;
  }
}

TEST(Display, ShowsAnExpertABarAndWarnsOfTheStarvedOne) {
  const Terminal terminal{.interactive = true, .unicode = true, .columns = 120, .rows = 30};
  const auto lines = live_lines(made_up_step(10, 40), {{0.25, 0.02, 0.125, 0.125, 0.125, 0.125, 0.125, 0.105}}, kOptions, "", 12, terminal);
  ASSERT_EQ(lines.size(), 5u);
  EXPECT_EQ(lines[3], "experts  0 [█▁▄▄▄▄▄▃]");
  EXPECT_EQ(lines[4], "warning: layer 0, expert 1 receives 2.0 % of tokens, under 5.0 %: the router is collapsing");
}

TEST(Display, TakesLogLinesFromOtherThreads) {
  std::ostringstream out;
  Log log;
  {
    Display display(out, Terminal{.interactive = true, .columns = 80, .rows = 30}, log, kOptions);
    std::thread other([&] {
      for (int line = 0; line < 200; ++line) log.info("line " + std::to_string(line));
    });
    for (std::int64_t step = 1; step <= 40; ++step) display.update(made_up_step(step, 40));
    other.join();
  }
  std::size_t lines = 0;
  for (const std::string& line : screen_of(out.str())) lines += line.starts_with("line ");
  EXPECT_EQ(lines, 200u);
}

}  // namespace
}  // namespace sluice::monitor
