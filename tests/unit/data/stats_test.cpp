#include "sluice/data/stats.h"

#include "sluice/base/error.h"
#include "tests/unit/data/byte_tokenizer.h"
#include "tests/unit/data/scratch_rows.h"

namespace sluice::data {
namespace {

TEST(LengthHistogram, TakesPercentilesByNearestRank) {
  LengthHistogram lengths;
  for (int i = 1; i <= 200; ++i) lengths.add(i);
  EXPECT_EQ(lengths.percentile(0.5), 100);
  EXPECT_EQ(lengths.percentile(0.9), 180);
  EXPECT_EQ(lengths.percentile(0.99), 198);
  EXPECT_EQ(lengths.max(), 200);
  EXPECT_DOUBLE_EQ(lengths.mean(), 100.5);
  EXPECT_EQ(LengthHistogram().percentile(0.5), 0);
}

TEST(Stats, CountLabelsLengthsAndDuplicates) {
  const ScratchRows file(R"({"question": "who wrote it", "answer": ["two words", "x"], "expert_label": "factual_lookup"}
{"question": "Who wrote it?", "answer": "one", "expert_label": "factual_lookup"}
{"question": "why", "answer": {"text": "a b c d"}, "expert_label": "commonsense_reasoning"}
{"question": "how many are 3 and 4 apples"}
)");
  const DataStats stats = describe(file.path(), nullptr, CountDuplicates::kYes);
  EXPECT_EQ(stats.num_rows, 4);
  EXPECT_EQ(stats.labels, (std::vector<std::int64_t>{2, 0, 0, 1}));
  EXPECT_EQ(stats.num_unlabelled, 1);
  EXPECT_EQ(stats.num_without_answer, 1);
  EXPECT_EQ(stats.num_duplicates, 1);
  EXPECT_EQ(stats.length_unit, "words");
  EXPECT_EQ(stats.question_lengths.max(), 7);
  EXPECT_EQ(stats.answer_lengths.percentile(0.5), 2);
  const Json json = stats_json(stats);
  EXPECT_EQ(json["labels"]["factual_lookup"]["share"], 0.5);
  EXPECT_EQ(json["answer_length"]["max"], 4);
  EXPECT_NE(format_stats(stats).find("answer length in words: p50 2 p90 4 p95 4 p99 4 max 4"), std::string::npos);
}

TEST(Stats, CountTokensWhereThereIsATokenizer) {
  const ScratchRows file("{\"question\": \"who is it\", \"answer\": \"me\"}\n");
  const ByteTokenizer tokenizer(ByteTokenizer::Bos::kAdds);
  const DataStats stats = describe(file.path(), &tokenizer, CountDuplicates::kNo);
  EXPECT_EQ(stats.length_unit, "tokens");
  EXPECT_EQ(stats.question_lengths.max(), 9);
  EXPECT_EQ(stats.answer_lengths.max(), 2);
  EXPECT_EQ(stats.num_duplicates, -1);
}

TEST(Stats, RefuseUnknownLabelsAndEmptyFiles) {
  const ScratchRows unknown("{\"question\": \"who\", \"expert_label\": \"facts\"}\n"), empty("");
  EXPECT_THROW(describe(unknown.path(), nullptr, CountDuplicates::kNo), Error);
  EXPECT_THROW(describe(empty.path(), nullptr, CountDuplicates::kNo), Error);
}

}  // namespace
}  // namespace sluice::data
