#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <limits>

#include "sluice/base/error.h"
#include "sluice/monitor/run_folder.h"
#include "sluice/monitor/run_info.h"
#include "sluice/monitor/summary.h"
#include "tests/unit/monitor/made_up_run.h"

namespace sluice::monitor {
namespace {

StepMetrics step_with(std::int64_t step, double loss, std::optional<double> validation = std::nullopt) {
  StepMetrics metrics;
  metrics.step = step;
  metrics.train.loss = loss;
  metrics.tokens = 10;
  metrics.target_tokens = 4;
  metrics.seconds = 0.5;
  if (validation) metrics.validation = Losses{.loss = *validation};
  return metrics;
}

TEST(Summary, BestIsTheLowestValidationLossWhereThereIsOne) {
  const std::vector<StepMetrics> steps = {step_with(1, 1.0), step_with(2, 3.0, 2.5), step_with(3, 0.5), step_with(4, 4.0, 2.0),
                                          step_with(5, 0.1)};
  const Summary summary = summarize(steps);
  EXPECT_EQ(summary.best->step, 4);
  EXPECT_EQ(summary.best->validation->loss, 2.0);
  EXPECT_EQ(summary.final->step, 5);
  EXPECT_EQ(summary.final->validation->loss, 2.0);
  EXPECT_EQ(summary.steps, 5);
  EXPECT_EQ(summary.tokens, 50);
  EXPECT_EQ(summary.target_tokens, 20);
  EXPECT_EQ(summary.seconds, 2.5);
}

TEST(Summary, BestIsTheLowestTrainingLossOtherwiseAndNeverNotANumber) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<StepMetrics> steps = {step_with(1, nan), step_with(2, 3.0), step_with(3, 1.5), step_with(4, 2.0)};
  EXPECT_EQ(summarize(steps).best->step, 3);
  EXPECT_FALSE(summarize(std::span(steps).first(1)).best.has_value());
  EXPECT_FALSE(summarize({}).final.has_value());
}

TEST(Summary, ComesBackFromItsFile) {
  const TemporaryFolder run;
  EXPECT_FALSE(read_summary(run.path()).has_value());
  write_made_up_run(run.path(), 60);
  const Summary summary = *read_summary(run.path());
  EXPECT_EQ(summary.steps, 60);
  EXPECT_EQ(summary.final->train.loss, made_up_step(60, 60).train.loss);
  EXPECT_EQ(summary.best->step, 50);
  EXPECT_EQ(summary.evaluation.routing->accuracy, 0.912);
  EXPECT_EQ(summary.evaluation.routing->label_expert, made_up_evaluation().routing->label_expert);
}

TEST(Summary, OfAnotherVersionIsAnErrorNotAGuess) {
  const TemporaryFolder run;
  std::ofstream(run.path() / "summary.json") << R"({"schema_version": 2})";
  EXPECT_THROW(read_summary(run.path()), Error);
}

TEST(RunInfo, ComesBackFromItsFile) {
  const TemporaryFolder run;
  EXPECT_FALSE(read_run_info(run.path()).has_value());
  RunInfo info = made_up_info(500);
  info.state = RunState::kFailed;
  info.detail = "loss is NaN at step 12";
  write_run_info(run.path(), info);
  const RunInfo back = *read_run_info(run.path());
  EXPECT_EQ(back.state, RunState::kFailed);
  EXPECT_EQ(back.detail, info.detail);
  EXPECT_EQ(back.pid, getpid());
  EXPECT_EQ(back.host, info.host);
  EXPECT_EQ(back.started, info.started);
  EXPECT_EQ(back.categories, info.categories);
  EXPECT_EQ(back.num_experts, 8);
  EXPECT_FALSE(back.exported.has_value());
  info.exported = {500, true};
  write_run_info(run.path(), info);
  EXPECT_EQ(read_run_info(run.path())->exported->step, 500);
  EXPECT_TRUE(read_run_info(run.path())->exported->outdated);
}

TEST(RunInfo, KnowsWhetherTheProcessIsStillThere) {
  RunInfo info = made_up_info(500);
  EXPECT_EQ(alive(info), Alive::kYes);
  const pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  info.pid = child;
  EXPECT_EQ(alive(info), Alive::kNo);
  info.host = "another-machine";
  EXPECT_EQ(alive(info), Alive::kUnknown);
  info.state = RunState::kFinished;
  EXPECT_EQ(alive(info), Alive::kNo);
}

TEST(RunFolder, ListsWholeCheckpointsByStepAndLeavesOutTheRest) {
  const TemporaryFolder run;
  for (const char* name : {"step-00001000", "step-00000500", "step-00000750.tmp", "step-", "latest"})
    fs::create_directories(run.path() / "checkpoints" / name / "trainer");
  std::ofstream(run.path() / "checkpoints/step-00000500/weights") << std::string(1000, 'w');
  std::ofstream(run.path() / "checkpoints/step-00000500/trainer/state") << std::string(24, 's');
  const auto checkpoints = list_checkpoints(run.path());
  ASSERT_EQ(checkpoints.size(), 2u);
  EXPECT_EQ(checkpoints[0].step, 500);
  EXPECT_EQ(checkpoints[0].size_bytes, 1024u);
  EXPECT_EQ(checkpoints[1].name, "step-00001000");
}

TEST(RunFolder, GivesTheLastWholeLinesOfALongLog) {
  const TemporaryFolder run;
  EXPECT_TRUE(last_log_lines(run.path(), 3).empty());
  std::ofstream log(run.path() / "log.txt");
  for (int line = 0; line < 20000; ++line) log << "line " << line << "\n";
  log << "not yet whole" << std::flush;
  EXPECT_EQ(last_log_lines(run.path(), 2), (std::vector<std::string>{"line 19998", "line 19999"}));
}

TEST(RunFolder, SaysWhatToGiveInsteadOfAFolderOfRuns) {
  const TemporaryFolder runs;
  fs::create_directories(runs.path() / "first");
  EXPECT_THROW(check_run_folder(runs.path() / "absent"), Error);
  EXPECT_THROW(check_run_folder(runs.path()), Error);
  write_run_info(runs.path() / "first", made_up_info(5));
  try {
    check_run_folder(runs.path());
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("try " + (runs.path() / "first").string()), std::string::npos) << error.what();
  }
  EXPECT_NO_THROW(check_run_folder(runs.path() / "first"));
}

TEST(RunFolder, QuotesPathsForTheShell) {
  EXPECT_EQ(shell_quoted("runs/a-1"), "runs/a-1");
  EXPECT_EQ(shell_quoted("it's here"), "'it'\\''s here'");
}

}  // namespace
}  // namespace sluice::monitor
