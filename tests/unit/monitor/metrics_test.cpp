#include "sluice/monitor/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>

#include "sluice/base/error.h"
#include "tests/unit/monitor/made_up_run.h"

namespace sluice::monitor {
namespace {

void append(const fs::path& path, const std::string& text) { std::ofstream(path, std::ios::app) << text; }

TEST(Metrics, GivesBackEveryFigureToTheLastBit) {
  const TemporaryFolder run;
  StepMetrics written = made_up_step(50, 100);
  written.train.loss = 0.1 + 0.2;  // 0.30000000000000004: seventeen digits
  MetricsWriter(run.path()).write(written);
  MetricsReader reader(run.path());
  const auto& steps = reader.poll();
  ASSERT_EQ(steps.size(), 1u);
  EXPECT_EQ(dump_json(to_json(steps[0])), dump_json(to_json(written)));
  EXPECT_EQ(steps[0].train.loss, 0.1 + 0.2);
  EXPECT_EQ(*steps[0].expert_load, *written.expert_load);
  EXPECT_EQ(steps[0].validation->lm_loss, written.validation->lm_loss);
}

TEST(Metrics, WritesNotANumberAsNullSoThatTheLineStaysJson) {
  const TemporaryFolder run;
  StepMetrics metrics = made_up_step(1, 10);
  metrics.train.loss = std::numeric_limits<double>::quiet_NaN();
  metrics.grad_norm = std::numeric_limits<double>::infinity();
  MetricsWriter(run.path()).write(metrics);
  const std::string text = read_file(run.path() / "metrics.jsonl");
  const Json row = parse_json(text, "line");
  EXPECT_TRUE(row.at("loss").is_null());
  EXPECT_TRUE(row.at("grad_norm").is_null());
  MetricsReader reader(run.path());
  EXPECT_TRUE(std::isnan(reader.poll().at(0).train.loss));
}

TEST(Metrics, EachLineIsInTheFileWhenWriteReturns) {
  const TemporaryFolder run;
  MetricsWriter writer(run.path());
  MetricsReader reader(run.path());
  EXPECT_TRUE(reader.poll().empty());
  for (std::int64_t step = 1; step <= 3; ++step) {
    writer.write(made_up_step(step, 3));
    EXPECT_EQ(reader.poll().size(), static_cast<std::size_t>(step));
  }
}

TEST(Metrics, ReaderWaitsForTheEndOfAHalfWrittenLine) {
  const TemporaryFolder run;
  const std::string line = dump_json(to_json(made_up_step(1, 3)));
  append(run.path() / "metrics.jsonl", line + "\n" + line.substr(0, 20));
  MetricsReader reader(run.path());
  EXPECT_EQ(reader.poll().size(), 1u);
  append(run.path() / "metrics.jsonl", line.substr(20) + "\n");
  EXPECT_EQ(reader.poll().size(), 2u);
}

TEST(Metrics, WriterDropsTheHalfLineOfAKill) {
  const TemporaryFolder run;
  const std::string line = dump_json(to_json(made_up_step(1, 3)));
  append(run.path() / "metrics.jsonl", line + "\n{\"step\": 2, \"lo");
  MetricsWriter(run.path()).write(made_up_step(2, 3));
  MetricsReader reader(run.path());
  ASSERT_EQ(reader.poll().size(), 2u);
  EXPECT_EQ(reader.poll()[1].step, 2);
}

TEST(Metrics, ResumeDropsLinesPastTheCheckpointAndGoesOn) {
  const TemporaryFolder run;
  MetricsWriter writer(run.path());
  MetricsReader reader(run.path());
  for (std::int64_t step = 1; step <= 7; ++step) writer.write(made_up_step(step, 10));
  EXPECT_EQ(reader.poll().size(), 7u);
  writer.truncate_after(4);
  writer.write(made_up_step(5, 10));
  const auto& steps = reader.poll();  // notices that the file was replaced
  ASSERT_EQ(steps.size(), 5u);
  for (std::size_t at = 0; at < 5; ++at) EXPECT_EQ(steps[at].step, static_cast<std::int64_t>(at) + 1);
  writer.truncate_after(0);
  EXPECT_TRUE(reader.poll().empty());
}

TEST(Metrics, ResumeDropsTheLinesThatACrashBrokeAndCountsThem) {
  const TemporaryFolder run;
  for (std::int64_t step = 1; step <= 3; ++step) MetricsWriter(run.path()).write(made_up_step(step, 10));
  append(run.path() / "metrics.jsonl", "{\"step\": 4, \"loss\"\n" + std::string(100, '\0') + "\n{\"step\": 5}\n{\"st");
  MetricsWriter writer(run.path());
  EXPECT_EQ(writer.truncate_after(3), 3);
  EXPECT_EQ(writer.truncate_after(3), 0);
  writer.write(made_up_step(4, 10));
  MetricsReader reader(run.path());
  ASSERT_EQ(reader.poll().size(), 4u);
  EXPECT_EQ(reader.poll().back().step, 4);
}

TEST(Metrics, ADroppedShareStandsThereOnlyWhereThereIsACapacity) {
  StepMetrics metrics = made_up_step(1, 10);
  EXPECT_FALSE(to_json(metrics).contains("dropped_share"));
  metrics.dropped_share = 0.125;
  EXPECT_EQ(step_metrics_from_json(Json(to_json(metrics)), "line").dropped_share, 0.125);
}

TEST(Metrics, NamesFileLineAndKeyOfABadLine) {
  const TemporaryFolder run;
  append(run.path() / "metrics.jsonl", dump_json(to_json(made_up_step(1, 3))) + "\n{\"step\": \"two\"}\n");
  MetricsReader reader(run.path());
  try {
    reader.poll();
    FAIL() << "no error";
  } catch (const Error& error) {
    const std::string what = error.what();
    EXPECT_NE(what.find("metrics.jsonl:2"), std::string::npos) << what;
    EXPECT_NE(what.find("\"step\" is \"two\", not a whole number"), std::string::npos) << what;
  }
}

TEST(Metrics, RecentLoadIsTheMeanOfTheLoggedOnes) {
  std::vector<StepMetrics> steps(4);
  steps[0].expert_load = {{0.9, 0.1}};
  steps[1].expert_load = {{0.2, 0.8}};
  steps[3].expert_load = {{0.4, 0.6}};
  const ExpertShares two = recent_expert_load(steps, 2);
  EXPECT_NEAR(two[0][0], 0.3, 1e-15);
  EXPECT_NEAR(two[0][1], 0.7, 1e-15);
  EXPECT_NEAR(recent_expert_load(steps)[0][0], 0.5, 1e-15);
  EXPECT_TRUE(recent_expert_load(std::span(steps).subspan(2, 1)).empty());
}

}  // namespace
}  // namespace sluice::monitor
