#include "sluice/data/split.h"

#include <map>
#include <set>

#include "sluice/base/error.h"
#include "sluice/base/json.h"
#include "tests/unit/data/scratch_rows.h"

namespace sluice::data {
namespace {

std::string question_rows(int count) {
  const char* labels[] = {"\"factual_lookup\"", "\"factual_lookup\"", "\"numerical_reasoning\"", "\"commonsense_reasoning\"", "null"};
  std::string rows;
  for (int i = 0; i < count; ++i) {
    rows += "{\"question\": \"what is number " + std::to_string(i) + "\", \"expert_label\": " + labels[i % 5] + "}\n";
  }
  return rows;
}

SplitRequest request_for(const ScratchRows& file) {
  SplitRequest request;
  request.input = file.path();
  request.train_output = file.beside("train.jsonl");
  request.validation_output = file.beside("validation.jsonl");
  return request;
}

TEST(Split, GivesEachLabelItsExactShare) {
  const ScratchRows file(question_rows(1000));
  SplitRequest request = request_for(file);
  const SplitSummary summary = split(request);
  EXPECT_EQ(summary.num_validation, 100);
  EXPECT_EQ(summary.num_train, 900);
  std::map<std::string, int> labels;
  for (const std::string& line : lines_of(request.validation_output)) ++labels[Json::parse(line)["expert_label"].dump()];
  EXPECT_EQ(labels, (std::map<std::string, int>{
                        {"\"commonsense_reasoning\"", 20}, {"\"factual_lookup\"", 40}, {"\"numerical_reasoning\"", 20}, {"null", 20}}));
}

TEST(Split, SharesOutACountByLabel) {
  const ScratchRows file(question_rows(1003));
  SplitRequest request = request_for(file);
  request.validation_count = 7;
  EXPECT_EQ(split(request).num_validation, 7);
}

TEST(Split, PartsTogetherAreTheInputInOrder) {
  const ScratchRows file(question_rows(500));
  const SplitRequest request = request_for(file);
  split(request);
  const auto train = lines_of(request.train_output), validation = lines_of(request.validation_output);
  std::size_t t = 0, v = 0;
  for (const std::string& line : lines_of(file.path())) {
    if (t < train.size() && train[t] == line) {
      ++t;
    } else {
      ASSERT_LT(v, validation.size());
      ASSERT_EQ(validation[v++], line);
    }
  }
  EXPECT_EQ(t, train.size());
  EXPECT_EQ(v, validation.size());
}

TEST(Split, NeverShowsAQuestionOnBothSides) {
  std::string rows;
  for (int copy = 0; copy < 3; ++copy) {
    for (int i = 0; i < 200; ++i) {
      const std::string question = copy == 0 ? "Who is number " : copy == 1 ? "who is number " : "WHO... is number ";
      rows += "{\"copy\": " + std::to_string(copy) + ", \"question\": \"" + question + std::to_string(i) + (copy == 0 ? "?" : "") + "\"}\n";
    }
  }
  const ScratchRows file(rows);
  SplitRequest request = request_for(file);
  request.validation_fraction = 0.3;
  const SplitSummary summary = split(request);
  EXPECT_NEAR(static_cast<double>(summary.num_validation), 180.0, 3.0);
  EXPECT_EQ(summary.num_validation % 3, 0) << "the copies of a question went to different sides";
}

TEST(Split, DependsOnTheSeedAndOnNoOtherRow) {
  const ScratchRows file(question_rows(400));
  SplitRequest request = request_for(file);
  const auto run = [&](std::uint64_t seed) {
    request.seed = seed;
    split(request);
    const auto lines = lines_of(request.validation_output);
    return std::set<std::string>(lines.begin(), lines.end());
  };
  const auto first = run(1);
  EXPECT_EQ(run(1), first);
  EXPECT_NE(run(2), first);
}

TEST(Split, RefusesSharesAndFilesThatLeaveAPartEmpty) {
  const ScratchRows one("{\"question\": \"who\"}\n"), empty(""), file(question_rows(50));
  EXPECT_THROW(split(request_for(one)), Error);
  EXPECT_THROW(split(request_for(empty)), Error);
  SplitRequest request = request_for(file);
  request.validation_fraction = 1.5;
  EXPECT_THROW(split(request), Error);
  request = request_for(file);
  request.validation_count = 50;
  EXPECT_THROW(split(request), Error);
  request.validation_count = 0;
  EXPECT_THROW(split(request), Error);
  request = request_for(file);
  request.validation_output = request.train_output;
  EXPECT_THROW(split(request), Error);
  EXPECT_EQ(file.files(), (std::vector<std::string>{"input.jsonl"}));
}

}  // namespace
}  // namespace sluice::data
