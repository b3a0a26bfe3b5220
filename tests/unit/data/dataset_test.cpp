#include "sluice/data/dataset.h"

#include <gtest/gtest.h>

#include <fstream>
#include <numeric>
#include <set>

#include "byte_tokenizer.h"
#include "sluice/base/error.h"

namespace sluice::data {
namespace {

const ByteTokenizer kTokenizer;

// A file with these bytes, removed at the end.
class DataFixture : public testing::Test {
 protected:
  DataFixture() { fs::create_directories(folder_); }
  ~DataFixture() override { fs::remove_all(folder_); }

  fs::path write(const std::string& name, const std::string& bytes) const {
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
    return folder_ / name;
  }

  fs::path folder_ = fs::temp_directory_path() / ("sluice_dataset_" + std::to_string(getpid()));
};
using DatasetTest = DataFixture;

DataConfig config_of(Format format, const fs::path& path, std::int64_t seq_length = 0) {
  DataConfig config;
  config.format = format;
  config.path = path;
  config.seq_length = seq_length;
  return config;
}

// One row a number: {"input_ids": [n, 1]}.
std::string numbered_rows(int count) {
  std::string out;
  for (int n = 0; n < count; ++n) out += "{\"input_ids\": [" + std::to_string(n) + ", 1]}\n";
  return out;
}

const RowNeeds kIds{nullptr, 100'000};
const RowNeeds kText{&kTokenizer, kByteVocab};

std::string error_of(const DataConfig& config, const RowNeeds& needs) {
  try {
    open_datasets(config, needs);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::vector<std::int32_t> first_ids(const Dataset& dataset) {
  std::vector<std::int32_t> out;
  for (std::int64_t i = 0; i < dataset.size(); ++i) out.push_back(dataset.at(i).ids[0]);
  return out;
}

TEST_F(DatasetTest, FindsEveryRowByItsIndexInAnyOrder) {
  const auto data = open_datasets(config_of(Format::kTokenIds, write("rows.jsonl", numbered_rows(300))), kIds);
  ASSERT_EQ(data.train->size(), 300);
  EXPECT_EQ(data.validation, nullptr);
  for (const std::int64_t i : {299, 0, 63, 64, 65, 127, 128, 1, 298}) EXPECT_EQ(data.train->at(i).ids[0], i);
  EXPECT_EQ(data.train->raw(64).line, "{\"input_ids\": [64, 1]}");
  EXPECT_TRUE(data.train->raw(64).where.ends_with("rows.jsonl:65"));
}

TEST_F(DatasetTest, SkipsBlankLinesAndTakesWindowsLineEndsAndAMissingLastOne) {
  const auto path = write("rows.jsonl", "\n{\"input_ids\": [1, 2]}\r\n  \n\r\n{\"input_ids\": [3, 4]}");
  const auto data = open_datasets(config_of(Format::kTokenIds, path), kIds);
  EXPECT_EQ(first_ids(*data.train), (std::vector<std::int32_t>{1, 3}));
  EXPECT_TRUE(data.train->raw(1).where.ends_with("rows.jsonl:5"));
}

TEST_F(DatasetTest, CountsRowsTokensLabelsAndCuts) {
  const auto path = write("qa.jsonl",
                          "{\"question\": \"a\", \"answer\": \"b\", \"expert_label\": \"numerical_reasoning\"}\n"
                          "{\"question\": \"aaaaaaaaaaaa\", \"answer\": \"b\", \"expert_label\": 3}\n"
                          "{\"question\": \"a\", \"answer\": \"bbbbbbbbbbbb\"}\n");
  DataConfig config = config_of(Format::kQa, path, 24);
  config.max_target_length = 5;
  const DatasetCounts counts = open_datasets(config, kText).train->counts();
  EXPECT_EQ(counts.rows, 3);
  EXPECT_EQ(counts.tokens, (19 + 3) + (24 + 3) + (19 + 5));
  EXPECT_EQ(counts.target_tokens, 3 + 3 + 5);
  EXPECT_EQ(counts.longest_row, 27);
  EXPECT_EQ(counts.cut_prompts, 1);
  EXPECT_EQ(counts.cut_answers, 1);
  EXPECT_EQ(counts.labelled, (std::vector<std::int64_t>{0, 1, 0, 1}));
  EXPECT_EQ(counts.unlabelled, 1);
  EXPECT_EQ(
      describe(counts),
      "3 rows, 73 tokens, 11 of them trained on, longest row 27; labels: factual_lookup 0 numerical_reasoning 1 multi_hop_reasoning 0 "
      "commonsense_reasoning 1, none 1; questions cut to data.seq_length: 1; answers cut to data.max_target_length: 1");
}

TEST_F(DatasetTest, FindsABadRowAnywhereBeforeTheFirstSample) {
  const auto path = write("rows.jsonl", numbered_rows(200) + "{\"input_ids\": [7, \n");
  EXPECT_NE(error_of(config_of(Format::kTokenIds, path), kIds).find("rows.jsonl:201: not valid JSON"), std::string::npos);
}

TEST_F(DatasetTest, MaxSamplesUsesTheFirstRowsAndStillChecksTheRest) {
  DataConfig config = config_of(Format::kTokenIds, write("rows.jsonl", numbered_rows(200)));
  config.max_samples = 70;
  const auto data = open_datasets(config, kIds);
  EXPECT_EQ(data.train->size(), 70);
  EXPECT_EQ(data.train->at(69).ids[0], 69);
  config.path = write("bad.jsonl", numbered_rows(200) + "{}\n");
  EXPECT_NE(error_of(config, kIds).find("bad.jsonl:201"), std::string::npos);
  config.path = write("few.jsonl", numbered_rows(3));
  EXPECT_EQ(open_datasets(config, kIds).train->size(), 3);
}

TEST_F(DatasetTest, AnEmptyFileIsAnError) {
  for (const char* bytes : {"", "\n\n", "   \n"}) {
    EXPECT_NE(error_of(config_of(Format::kTokenIds, write("empty.jsonl", bytes)), kIds).find("empty.jsonl holds no rows"),
              std::string::npos);
  }
}

TEST_F(DatasetTest, AMissingFileAFolderAndAPipeAreErrors) {
  EXPECT_NE(error_of(config_of(Format::kTokenIds, folder_ / "none.jsonl"), kIds).find("No such file"), std::string::npos);
  EXPECT_NE(error_of(config_of(Format::kTokenIds, folder_), kIds).find("is a folder"), std::string::npos);
  EXPECT_NE(error_of(config_of(Format::kTokenIds, "/dev/null"), kIds).find("cannot be read again"), std::string::npos);
}

TEST_F(DatasetTest, NothingToTrainOnIsAnError) {
  const auto path = write("rows.jsonl", "{\"input_ids\": [1, 2], \"labels\": [1, -100]}\n");
  EXPECT_NE(error_of(config_of(Format::kTokenIds, path), kIds).find("nothing in the 1 rows"), std::string::npos);
}

TEST_F(DatasetTest, AFileChangedDuringTheRunIsAnErrorNotOtherData) {
  const auto path = write("rows.jsonl", numbered_rows(100));
  const auto data = open_datasets(config_of(Format::kTokenIds, path), kIds);
  write("rows.jsonl", numbered_rows(50));
  EXPECT_THROW(data.train->at(10), Error);
  EXPECT_THROW(data.train->at(90), Error);
  fs::remove(path);
  EXPECT_THROW(data.train->at(10), Error);
}

TEST_F(DatasetTest, AFractionIsHeldOutWithoutOverlap) {
  DataConfig config = config_of(Format::kTokenIds, write("rows.jsonl", numbered_rows(1000)));
  config.validation_fraction = 0.2;
  const auto data = open_datasets(config, kIds);
  const auto train = first_ids(*data.train), held_out = first_ids(*data.validation);
  EXPECT_NEAR(static_cast<double>(held_out.size()), 200, 50);
  std::set<std::int32_t> all(train.begin(), train.end());
  all.insert(held_out.begin(), held_out.end());
  EXPECT_EQ(all.size(), 1000u);
  EXPECT_EQ(train.size() + held_out.size(), 1000u);
  config.validation_samples = 10;
  const auto capped = first_ids(*open_datasets(config, kIds).validation);
  EXPECT_EQ(capped, std::vector<std::int32_t>(held_out.begin(), held_out.begin() + 10));
}

TEST_F(DatasetTest, AFractionThatHoldsOutNothingIsAnError) {
  DataConfig config = config_of(Format::kTokenIds, write("rows.jsonl", numbered_rows(3)));
  config.validation_fraction = 0.0001;
  EXPECT_NE(error_of(config, kIds).find("leaves no row for validation"), std::string::npos);
}

TEST_F(DatasetTest, AValidationFileIsOpenedBesideTheTrainingFile) {
  DataConfig config = config_of(Format::kTokenIds, write("train.jsonl", numbered_rows(5)));
  config.validation_path = write("held.jsonl", numbered_rows(9));
  config.validation_samples = 4;
  const auto data = open_datasets(config, kIds);
  EXPECT_EQ(data.train->size(), 5);
  EXPECT_EQ(data.validation->size(), 4);
}

TEST_F(DatasetTest, EqualRowsHaveEqualFingerprintsAndOtherRowsOthers) {
  const auto fingerprint = [&](const std::string& bytes) {
    return open_datasets(config_of(Format::kTokenIds, write("rows.jsonl", bytes)), kIds).train->counts().fingerprint;
  };
  EXPECT_EQ(fingerprint("{\"input_ids\": [1, 2]}\n"), fingerprint("{\"input_ids\":[1,2]}"));
  EXPECT_NE(fingerprint("{\"input_ids\": [1, 2]}\n"), fingerprint("{\"input_ids\": [1, 3]}\n"));
  EXPECT_NE(fingerprint("{\"input_ids\": [1, 2]}\n"), fingerprint("{\"input_ids\": [1, 2], \"expert_label\": 0}\n"));
}

std::string decoded(const Sample& sample) { return kTokenizer.decode(sample.ids, text::DecodeSpecial::kKeep); }

TEST_F(DatasetTest, PackedRowsAreTheDocumentsOneAfterTheOther) {
  DataConfig config = config_of(Format::kText, write("docs.txt", "ab\n\ncdefghijk\nl\n"), 4);
  config.packing = Packing::kConcat;
  const auto data = open_datasets(config, kText);
  std::vector<std::string> rows;
  for (std::int64_t i = 0; i < data.train->size(); ++i) rows.push_back(decoded(data.train->at(i)));
  EXPECT_EQ(rows, (std::vector<std::string>{"ab<end>c", "defg", "hijk", "<end>l<end>"}));
  EXPECT_EQ(data.train->at(3).labels, data.train->at(3).ids);
  EXPECT_EQ(data.train->counts().tokens, 3 + 10 + 2);
}

TEST_F(DatasetTest, PackedRowsReadByIndexAreTheRowsThatWereCounted) {
  std::string bytes;
  for (int n = 0; n < 200; ++n) bytes += std::string(static_cast<std::size_t>(n * 7 % 31 + 1), static_cast<char>('a' + n % 26)) + "\n";
  DataConfig config = config_of(Format::kText, write("docs.txt", bytes), 16);
  config.packing = Packing::kConcat;
  config.validation_fraction = 0.3;
  const auto data = open_datasets(config, kText);
  for (const Dataset* dataset : {data.train.get(), data.validation.get()}) {
    DatasetCounts counted;
    for (std::int64_t i = 0; i < dataset->size(); ++i) counted.add({dataset->at(i)});
    EXPECT_EQ(counted.fingerprint, dataset->counts().fingerprint);
    EXPECT_EQ(counted.tokens, dataset->counts().tokens);
  }
}

TEST_F(DatasetTest, PackingLeavesOutALastRowWithNothingToPredict) {
  DataConfig config = config_of(Format::kText, write("docs.txt", "abc\n"), 3);
  config.packing = Packing::kConcat;
  const auto data = open_datasets(config, kText);
  EXPECT_EQ(data.train->size(), 1);
  EXPECT_EQ(decoded(data.train->at(0)), "abc");
}

TEST_F(DatasetTest, PackingStopsAtMaxSamples) {
  DataConfig config = config_of(Format::kText, write("docs.jsonl", "{\"text\": \"abcdefghijklmnop\"}\n{\"text\": \"q\"}\n"), 4);
  config.packing = Packing::kConcat;
  config.max_samples = 2;
  const auto data = open_datasets(config, kText);
  EXPECT_EQ(data.train->size(), 2);
  EXPECT_EQ(decoded(data.train->at(1)), "efgh");
  config.path = write("bad.jsonl", "{\"text\": \"abcdefghijklmnop\"}\n{}\n");
  EXPECT_NE(error_of(config, kText).find("bad.jsonl:2"), std::string::npos);
}

TEST_F(DatasetTest, PackingRefusesSupervisionByCategory) {
  DataConfig config = config_of(Format::kText, write("docs.txt", "ab\n"), 4);
  config.packing = Packing::kConcat;
  EXPECT_NE(error_of(config, {&kTokenizer, kByteVocab, LabelPolicy::kRequired}).find("one category a row"), std::string::npos);
}

TEST_F(DatasetTest, ReadsTheBundledQuestions) {
  DataConfig config = config_of(Format::kQa, fs::path(SLUICE_SOURCE_DIR) / "data/questions/train.jsonl", 200);
  config.validation_path = fs::path(SLUICE_SOURCE_DIR) / "data/questions/validation.jsonl";
  const auto data = open_datasets(config, {&kTokenizer, kByteVocab, LabelPolicy::kRequired});
  EXPECT_EQ(data.train->size(), 3600);
  EXPECT_EQ(data.validation->counts().labelled, (std::vector<std::int64_t>{100, 100, 100, 100}));
  EXPECT_EQ(data.train->counts().cut_prompts, 0);
}

TEST_F(DatasetTest, ReadsRealQuestionsWithTheRealTokenizer) {
  const fs::path shared = SLUICE_SHARED_DIR;
  if (!fs::exists(shared / "data/nq_open")) GTEST_SKIP() << "needs the reference data beside the checkout: " << shared / "data/nq_open";
  const auto tokenizer = text::open_tokenizer(shared / "data/tokenizers/mixtral");
  const DataConfig config = config_of(Format::kQa, shared / "data/nq_open/NQ-open.train.subset.jsonl");
  const auto data = open_datasets(config, {tokenizer.get(), 32'000});
  EXPECT_EQ(data.train->size(), 8757);
  const Sample sample = data.train->at(0);
  EXPECT_EQ(sample.ids[0], 1) << "BOS";
  EXPECT_EQ(sample.ids.back(), 2) << "end token";
  const auto text_of = [&](std::span<const std::int32_t> ids) { return tokenizer->decode(ids, text::DecodeSpecial::kSkip); };
  EXPECT_EQ(text_of(sample.ids), "Question: who sings does he love me with reba\nAnswer: Linda Davis");
  EXPECT_EQ(text_of(std::span(sample.ids).first(static_cast<std::size_t>(sample.prompt_length))),
            "Question: who sings does he love me with reba\nAnswer:");
}

}  // namespace
}  // namespace sluice::data
