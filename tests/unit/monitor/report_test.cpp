#include "sluice/monitor/report.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <regex>

#include "sluice/base/error.h"
#include "sluice/monitor/chart.h"
#include "sluice/monitor/heat_map.h"
#include "sluice/monitor/html.h"
#include "sluice/monitor/samples.h"
#include "tests/unit/monitor/made_up_run.h"

namespace sluice::monitor {
namespace {

void write_run_with_everything(const fs::path& folder, std::int64_t total, const std::string& weight = "0.1") {
  fs::create_directories(folder / "checkpoints/step-00000050");
  std::ofstream(folder / "checkpoints/step-00000050/weights") << std::string(5 << 10, 'w');
  std::ofstream(folder / "config.yaml") << "optimizer:\n  lr: 0.001\nrouting_supervision:\n  weight: " << weight << "\n  layers: [0, 1]\n";
  write_made_up_run(folder, total);
  write_samples(folder, {{"Which is larger, <b>2</b> & 3?", "3", "3", "multi_hop_reasoning", "numerical_reasoning"}});
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(Html, EscapesEveryCharacterThatMarksUp) {
  EXPECT_EQ(escape_html("<a href=\"x\" title='y'>&</a>"), "&lt;a href=&quot;x&quot; title=&#39;y&#39;&gt;&amp;&lt;/a&gt;");
}

TEST(Chart, TicksAreRoundAndInsideTheRange) {
  EXPECT_EQ(axis_ticks(0, 10, 5), (std::vector<double>{0, 2, 4, 6, 8, 10}));
  EXPECT_EQ(axis_ticks(0.9, 3.1, 4), (std::vector<double>{1, 2, 3}));
  EXPECT_EQ(axis_ticks(1, 3, 6, 1), (std::vector<double>{1, 2, 3}));
  EXPECT_TRUE(axis_ticks(2, 2, 5).empty());
}

TEST(Chart, DrawsLowValuesLowAndLeavesGaps) {
  const Chart chart{.title = "Loss", .series = {{"a", {{1, 1}, {2, 3}, {3, std::nan("")}, {4, 2}, {5, 2}}, 0, Mark::kLine}}};
  const std::string html = html_chart(chart);
  const std::regex path("<path class=\"series s0\" d=\"M([0-9.]+) ([0-9.]+)L([0-9.]+) ([0-9.]+)\"/>");
  std::vector<std::smatch> found;
  for (auto at = std::sregex_iterator(html.begin(), html.end(), path); at != std::sregex_iterator(); ++at) found.push_back(*at);
  ASSERT_EQ(found.size(), 3u) << html;  // the legend's, then one each side of the gap
  const auto number = [](const std::ssub_match& match) { return std::stod(match); };
  EXPECT_LT(number(found[1][1]), number(found[1][3]));
  EXPECT_GT(number(found[1][2]), number(found[1][4]));                                      // y grows downward: 3 lies above 1
  EXPECT_NEAR(number(found[2][2]), (number(found[1][2]) + number(found[1][4])) / 2, 0.11);  // 2 lies midway
  EXPECT_TRUE(contains(html, "a from 1 to 2, lowest 1"));
}

TEST(Chart, IsNothingWithoutAFinitePoint) {
  EXPECT_EQ(html_chart({.title = "x", .series = {{"a", {{1, std::nan("")}}, 0, Mark::kLine}}}), "");
  EXPECT_EQ(html_chart({.title = "x"}), "");
}

TEST(Chart, StaysSmallForAMillionSteps) {
  Series series{"a", {}, 0, Mark::kLine};
  for (int step = 1; step <= 1000000; ++step) series.points.push_back({static_cast<double>(step), std::sin(step)});
  const std::string html = html_chart({.title = "x", .series = {series}});
  EXPECT_LT(html.size(), 20000u);
  EXPECT_TRUE(contains(html, "class=\"band"));
}

TEST(HeatMap, MarksTheCellsOutOfTheirLimits) {
  const std::string html = html_heat_map({.title = "Load",
                                          .row_name = "layer",
                                          .column_name = "expert",
                                          .row_labels = {"layer 0"},
                                          .values = {{0.3, 0.04, 0.16, 0.1, 0.1, 0.1, 0.1, 0.1}}});
  EXPECT_TRUE(contains(html, "▲ 30.0")) << html;
  EXPECT_TRUE(contains(html, "▼ 4.0"));
  EXPECT_TRUE(contains(html, ">16.0<"));
  EXPECT_TRUE(contains(html, "layer 0, expert 1: 4.0 %"));
}

TEST(Report, HoldsEveryPartAndNothingFromElsewhere) {
  const TemporaryFolder run;
  write_run_with_everything(run.path(), 300);
  write_report(run.path());
  const std::string html = read_file(run.path() / "report.html");
  for (const char* part :
       {"mixtral-tiny", "finished", "routing accuracy", "91.2 %", "Routing supervision loss", "Learning rate", "Load by layer and expert",
        "layer 1, expert 5 receives 2.0 % of tokens, under 5.0 %", "moe.router_aux_loss_coef", "commonsense_reasoning",
        "Which is larger, &lt;b&gt;2&lt;/b&gt; &amp; 3?", "weight: 0.1", "step-00000050", "5.0 KiB", "prefers-color-scheme"}) {
    EXPECT_TRUE(contains(html, part)) << part;
  }
  for (const char* part : {"<script", "http://", "https://", "url(", "@import", "<link", "<img"})
    EXPECT_FALSE(contains(html, part)) << part;
}

TEST(Report, EscapesWhatComesFromTheRun) {
  const TemporaryFolder run;
  RunInfo info = made_up_info(10);
  info.model_name = "<script>alert(1)</script>";
  info.categories = {"<i>"};
  write_run_info(run.path(), info);
  std::ofstream(run.path() / "config.yaml") << "model:\n  load: \"</pre><script>\"\n";
  Summary summary;
  summary.evaluation.routing = RoutingFigures{.label_expert = {{0.5, 0.5}}};
  write_summary(run.path(), summary);
  write_report(run.path());
  const std::string html = read_file(run.path() / "report.html");
  EXPECT_FALSE(contains(html, "<script"));
  EXPECT_FALSE(contains(html, "<i>"));
  EXPECT_TRUE(contains(html, "&lt;/pre&gt;"));
}

TEST(Report, OfARunWithoutStepsIsWrittenToo) {
  const TemporaryFolder run;
  EXPECT_THROW(write_report(run.path()), Error);
  write_run_info(run.path(), made_up_info(10));
  write_report(run.path());
  EXPECT_TRUE(contains(read_file(run.path() / "report.html"), "running"));
}

TEST(Comparison, NamesTheSettingsThatDifferAndTheBestRun) {
  const TemporaryFolder sweep;
  EXPECT_THROW(write_comparison(sweep.path()), Error);
  for (const char* weight : {"0", "0.1"}) {
    const fs::path folder = sweep.path() / (std::string("weight=") + weight);
    fs::create_directories(folder);
    write_made_up_run(folder, weight == std::string("0") ? 50 : 100);
    std::ofstream(folder / "config.yaml") << "train:\n  seed: 1\n  output_dir: " << folder.string()
                                          << "\nrouting_supervision:\n  weight: " << weight << "\n";
  }
  write_comparison(sweep.path());
  const std::string html = read_file(sweep.path() / "comparison.html");
  EXPECT_TRUE(contains(html, ">routing_supervision.weight</td>"));
  EXPECT_FALSE(contains(html, "train.seed"));
  EXPECT_FALSE(contains(html, "output_dir"));
  EXPECT_TRUE(contains(html, "<td class=\"n best\">"));
  EXPECT_TRUE(contains(html, "weight=0.1 <b>"));  // the legend
}

TEST(Comparison, MarksTheRunsThatFailedThoseWithoutAFolderToo) {
  const TemporaryFolder sweep;
  fs::create_directories(sweep.path() / "lr=1");
  write_made_up_run(sweep.path() / "lr=1", 50);
  write_comparison(sweep.path(), {{"lr=2", "the <loss> is not a finite number"}});
  const std::string html = read_file(sweep.path() / "comparison.html");
  EXPECT_TRUE(contains(html, "lr=2"));
  EXPECT_TRUE(contains(html, "failed"));
  EXPECT_TRUE(contains(html, "the &lt;loss&gt; is not a finite number"));
  EXPECT_TRUE(contains(html, "2 runs compared"));
}

// Not a check by itself: leaves a run and a sweep of two in the folder that SLUICE_TEST_RUN names, for tests/cli/test_monitor_files.py.
TEST(MadeUpRun, IsWrittenForThePythonReaders) {
  const char* const folder = std::getenv("SLUICE_TEST_RUN");
  if (folder == nullptr) GTEST_SKIP() << "tests/cli/test_monitor_files.py runs this with SLUICE_TEST_RUN set";
  for (const std::string weight : {"0.1", "0.2"}) {
    const fs::path run = fs::path(folder) / ("weight=" + weight);
    fs::create_directories(run);
    write_run_with_everything(run, weight == "0.1" ? 500 : 400, weight);
    write_report(run);
  }
  EventFile resumed(fs::path(folder) / "weight=0.2", 351);
  resumed.write(360, {{"train/loss", 7.5}});
  MetricsWriter writer(fs::path(folder) / "weight=0.2");
  StepMetrics broken = made_up_step(401, 500);
  broken.train.loss = broken.train.lm_loss = std::nan("");
  broken.grad_norm = INFINITY;
  writer.write(broken);
  write_comparison(folder);
}

}  // namespace
}  // namespace sluice::monitor
