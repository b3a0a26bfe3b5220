// Conversations as data sets: kept in the cache, packed, blended, held out.
#include "sluice/data/instruct/conversation_dataset.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <numeric>
#include <set>
#include <thread>

#include "character_tokenizer.h"
#include "sluice/base/error.h"
#include "sluice/data/batch.h"
#include "sluice/data/instruct/cache_key.h"
#include "sluice/data/stream.h"

namespace sluice::data {
namespace {

class ConversationDatasetTest : public testing::Test {
 protected:
  ConversationDatasetTest() { fs::create_directories(folder_); }
  ~ConversationDatasetTest() override { fs::remove_all(folder_); }

  fs::path write(const std::string& name, const std::string& bytes) const {
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
    return folder_ / name;
  }

  // Row i asks for i letters and is answered by them.
  static std::string rows(int count, int first = 0, const std::string& more = "") {
    std::string out;
    for (int i = first; i < first + count; ++i) {
      const std::string n = std::to_string(i);
      out += R"({"messages": [{"role": "user", "content": ")" + n + R"("}, {"role": "assistant", "content": ")" +
             std::string(static_cast<std::size_t>(1 + i % 17), 'x') + "\"}]" + more + "}\n";
    }
    return out;
  }

  DataConfig config(const fs::path& path) const {
    DataConfig out;
    out.path = path;
    out.format = Format::kMessages;
    out.seq_length = 64;
    out.instruct.chat_template = Template::kChatml;
    out.instruct.cache_dir = (folder_ / "cache").string();
    return out;
  }
  RowNeeds needs() const { return {&*tokenizer_, 200, LabelPolicy::kOptional, tokenizer_.folder()}; }

  std::vector<fs::path> cached() const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(folder_ / "cache")) files.push_back(entry.path());
    return files;
  }

  std::string error_of(const DataConfig& given, const RowNeeds& needed) const {
    try {
      open_datasets(given, needed);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

  fs::path folder_ = fs::temp_directory_path() / ("sluice_conversations_" + std::to_string(getpid()));
  CharacterTokenizer tokenizer_;
};

void expect_equal(const Sample& a, const Sample& b) {
  EXPECT_EQ(a.ids, b.ids);
  EXPECT_EQ(a.labels, b.labels);
  EXPECT_EQ(a.real, b.real);
  EXPECT_EQ(a.weights, b.weights);
  EXPECT_EQ(a.documents, b.documents);
  EXPECT_EQ(a.prompt_length, b.prompt_length);
  EXPECT_EQ(a.expert_label, b.expert_label);
}

TEST_F(ConversationDatasetTest, GivesTheSamplesThatTheMakerMakes) {
  const DataConfig settings = config(
      write("rows.jsonl", rows(30, 0, R"(, "expert_label": 2)") +
                              R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "weight": 0.5}]})"));
  const auto data = open_datasets(settings, needs());
  const SampleMaker maker(settings, tokenizer_.source());
  std::int64_t index = 0;
  read_conversations(settings.path, settings, [&](InstructRow&& row) { expect_equal(data.train->at(index++), maker.make(row).sample); });
  EXPECT_EQ(index, 31);
  EXPECT_EQ(data.train->size(), 31);
  EXPECT_EQ(data.train->at(0).expert_label, 2);
  EXPECT_FALSE(data.train->at(30).weights.empty());
  EXPECT_EQ(data.train->raw(30).where, settings.path + ":31");
  EXPECT_EQ(data.train->length(3), static_cast<std::int64_t>(data.train->at(3).ids.size()));
  EXPECT_EQ(data.train->counts().conversations.conversations, 31);
}

TEST_F(ConversationDatasetTest, CountsWhatIsLeftOut) {
  DataConfig settings = config(write("rows.jsonl", rows(34)));
  settings.seq_length = 30;
  const auto counts = open_datasets(settings, needs()).train->counts();
  EXPECT_GT(counts.conversations.too_long, 0);
  EXPECT_EQ(counts.rows + counts.conversations.too_long, 34);
  EXPECT_NE(describe(counts).find("left out as longer than data.seq_length"), std::string::npos);
  settings.seq_length = 4;
  EXPECT_NE(error_of(settings, needs()).find("none of the 34 conversations"), std::string::npos);
}

TEST_F(ConversationDatasetTest, RowsOfWeight0AreCountedAsThat) {
  const DataConfig settings = config(write("rows.jsonl", rows(3) + rows(2, 3, R"(, "weight": 0)")));
  const auto counts = open_datasets(settings, needs()).train->counts();
  EXPECT_EQ(counts.rows, 3);
  EXPECT_EQ(counts.conversations.conversations, 5);
  EXPECT_EQ(counts.conversations.weightless, 2);
  EXPECT_EQ(describe(counts.conversations), "2 left out as their weight is 0");
  const std::string error = error_of(config(write("none.jsonl", rows(2, 0, R"(, "weight": 0)"))), needs());
  EXPECT_NE(error.find("none of the 2 conversations"), std::string::npos) << error;
  EXPECT_NE(error.find("a weight above 0"), std::string::npos) << error;
}

TEST_F(ConversationDatasetTest, WhatAKilledWriterLeftGoesAfterADay) {
  fs::create_directories(folder_ / "cache");
  const fs::path old = folder_ / "cache" / "0a.tokens.12345.tmp77", young = folder_ / "cache" / "0a.tokens.12346.tmp78", other = folder_ / "cache" / "0a.tokens";
  for (const fs::path& file : {old, young, other}) write_file_atomic(file, "half");
  for (const fs::path& file : {old, other}) fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::hours(25));
  open_datasets(config(write("rows.jsonl", rows(3))), needs());
  EXPECT_FALSE(fs::exists(old));
  EXPECT_TRUE(fs::exists(young));
  EXPECT_TRUE(fs::exists(other));
}

TEST_F(ConversationDatasetTest, ASecondOpeningReadsTheCache) {
  const DataConfig settings = config(write("rows.jsonl", rows(20)));
  const auto first = open_datasets(settings, needs());
  ASSERT_EQ(cached().size(), 1u);
  const auto written = fs::last_write_time(cached()[0]);
  const auto second = open_datasets(settings, needs());
  EXPECT_EQ(fs::last_write_time(cached()[0]), written);
  EXPECT_EQ(first.train->counts().fingerprint, second.train->counts().fingerprint);
  for (std::int64_t i = 0; i < 20; ++i) expect_equal(first.train->at(i), second.train->at(i));
}

TEST_F(ConversationDatasetTest, TheCacheGoesByContentNotByName) {
  DataConfig settings = config(write("rows.jsonl", rows(20)));
  open_datasets(settings, needs());
  settings.path = write("same.jsonl", rows(20));
  EXPECT_EQ(open_datasets(settings, needs()).train->raw(4).where, settings.path + ":5");
  EXPECT_EQ(cached().size(), 1u);
}

TEST_F(ConversationDatasetTest, WhateverChangesTheTokensChangesTheKey) {
  const DataConfig settings = config(write("rows.jsonl", rows(20)));
  std::set<std::string> keys;
  const auto add = [&](const std::function<void(DataConfig&)>& change) {
    DataConfig changed = settings;
    change(changed);
    keys.insert(cache_key(changed.path, changed, SampleMaker(changed, tokenizer_.source()), tokenizer_.folder()));
  };
  add([](DataConfig&) {});
  add([](DataConfig& c) { c.instruct.cache_dir = "elsewhere"; });
  add([](DataConfig& c) { c.instruct.length_buckets = true; });
  add([](DataConfig& c) { c.packing = Packing::kBestFit; });
  add([](DataConfig& c) { c.validation_fraction = 0.1; });
  EXPECT_EQ(keys.size(), 1u);  // none of these
  add([](DataConfig& c) { c.seq_length = 65; });
  add([](DataConfig& c) { c.instruct.train_on = TrainOn::kLast; });
  add([](DataConfig& c) { c.instruct.train_on_end = false; });
  add([](DataConfig& c) { c.instruct.truncation = Truncation::kLeft; });
  add([](DataConfig& c) { c.instruct.system_prompt = "s"; });
  add([](DataConfig& c) { c.instruct.chat_template = Template::kAlpaca; });
  add([](DataConfig& c) { c.instruct.columns.messages = "m"; });
  add([](DataConfig& c) { c.format = Format::kCustom; });
  EXPECT_EQ(keys.size(), 9u);
  write("rows.jsonl", rows(20) + "\n");
  add([](DataConfig&) {});
  tokenizer_.write("chat_template.jinja", "x");
  add([](DataConfig&) {});
  EXPECT_EQ(keys.size(), 11u);
}

TEST_F(ConversationDatasetTest, ACacheThatIsNotWholeIsMadeAgainWithANote) {
  const DataConfig settings = config(write("rows.jsonl", rows(20)));
  const auto fingerprint = open_datasets(settings, needs()).train->counts().fingerprint;
  const fs::path cache = cached()[0];
  const std::string whole = read_file(cache);
  std::string flipped = whole;
  flipped[whole.size() / 3] ^= 1;
  std::string footer = whole;
  footer[whole.size() - 20] ^= 1;
  for (const std::string& bytes : {flipped, footer, whole.substr(0, whole.size() - 7), whole.substr(0, 10), std::string()}) {
    std::ofstream(cache, std::ios::binary) << bytes;
    const auto data = open_datasets(settings, needs());
    EXPECT_EQ(data.train->counts().fingerprint, fingerprint);
    ASSERT_EQ(data.train->counts().notes.size(), 1u);
    EXPECT_NE(describe(data.train->counts()).find("it is made again"), std::string::npos);
    EXPECT_EQ(read_file(cache), whole);
  }
}

TEST_F(ConversationDatasetTest, TwoAtOnceBothHaveTheWholeSet) {
  const DataConfig settings = config(write("rows.jsonl", rows(300)));
  std::vector<std::uint32_t> fingerprints(4);
  {
    std::vector<std::jthread> threads;
    for (auto& fingerprint : fingerprints)
      threads.emplace_back([&] { fingerprint = open_datasets(settings, needs()).train->counts().fingerprint; });
  }
  EXPECT_EQ(std::set(fingerprints.begin(), fingerprints.end()).size(), 1u);
  EXPECT_EQ(cached().size(), 1u);
}

TEST_F(ConversationDatasetTest, AFaultLeavesNoCache) {
  const DataConfig settings = config(write("rows.jsonl", rows(3) + "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}\n"));
  EXPECT_NE(error_of(settings, needs()).find("rows.jsonl:4"), std::string::npos);
  EXPECT_TRUE(cached().empty());
}

TEST_F(ConversationDatasetTest, TheEarlierOfTwoFaultsIsReported) {
  // Row 2 is refused by the template, row 4 is no JSON: the second is met first, while reading.
  DataConfig settings = config(write(
      "rows.jsonl",
      rows(1) + R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "reasoning_content": "c"}]})" +
          "\n" + rows(1) + "{\n"));
  EXPECT_NE(error_of(settings, needs()).find("rows.jsonl:2: the template refuses"), std::string::npos);
}

TEST_F(ConversationDatasetTest, RefusesIdsPastTheVocabularyAndMissingLabels) {
  const DataConfig settings = config(write("rows.jsonl", rows(3)));
  RowNeeds small = needs(), labelled = needs();
  small.vocab_size = 20;
  labelled.labels = LabelPolicy::kRequired;
  EXPECT_NE(error_of(settings, small).find("rows.jsonl:1: token id"), std::string::npos);
  EXPECT_NE(error_of(settings, labelled).find("rows.jsonl:1: the row has no expert_label"), std::string::npos);
  DataConfig packed = settings;
  packed.packing = Packing::kBestFit;
  EXPECT_NE(error_of(packed, labelled).find("data.packing = best_fit"), std::string::npos);
}

TEST_F(ConversationDatasetTest, PackedRowsHoldWholeConversationsMarkedAsDocuments) {
  DataConfig settings =
      config(write("rows.jsonl",
                   rows(50) + R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "weight": 0.5}]})"));
  const auto plain = open_datasets(settings, needs());
  settings.packing = Packing::kBestFit;
  const auto packed = open_datasets(settings, needs());
  std::multiset<std::vector<std::int32_t>> wanted, found;
  for (std::int64_t i = 0; i < plain.train->size(); ++i) wanted.insert(plain.train->at(i).ids);
  float weight = 0;
  for (std::int64_t r = 0; r < packed.train->size(); ++r) {
    const Sample row = packed.train->at(r);
    ASSERT_LE(row.ids.size(), 64u);
    ASSERT_EQ(row.documents[0], 0);
    for (std::size_t d = 0; d < row.documents.size(); ++d) {
      const auto begin = static_cast<std::size_t>(row.documents[d]),
                 end = d + 1 < row.documents.size() ? static_cast<std::size_t>(row.documents[d + 1]) : row.ids.size();
      EXPECT_EQ(row.labels[begin], kNotTrained);
      found.insert({row.ids.begin() + static_cast<std::ptrdiff_t>(begin), row.ids.begin() + static_cast<std::ptrdiff_t>(end)});
    }
    for (std::size_t i = 0; i < row.ids.size(); ++i) {
      if (row.labels[i] != kNotTrained) weight += row.weights.empty() ? 1 : row.weights[i];
    }
    EXPECT_TRUE(row.weights.empty() || row.weights.size() == row.ids.size());
  }
  EXPECT_EQ(found, wanted);
  EXPECT_EQ(weight, static_cast<float>(plain.train->counts().target_tokens) - 1);  // two tokens of weight 1/2
  EXPECT_EQ(packed.train->counts().target_tokens, plain.train->counts().target_tokens);
  EXPECT_NE(describe(packed.train->counts()).find("51 conversations packed, the rows 9"), std::string::npos);
}

TEST_F(ConversationDatasetTest, HoldsOutAShareOfTheRowsWithBothParts) {
  DataConfig settings = config(write("rows.jsonl", rows(400)));
  settings.validation_fraction = 0.25;
  for (const Packing packing : {Packing::kNone, Packing::kBestFit}) {
    settings.packing = packing;
    const auto data = open_datasets(settings, needs());
    const auto conversations = [&](const Dataset& set) { return packing == Packing::kNone ? set.size() : set.counts().packed; };
    EXPECT_EQ(conversations(*data.train) + conversations(*data.validation), 400);
    EXPECT_NEAR(static_cast<double>(conversations(*data.validation)), 100, 30);
  }
}

TEST_F(ConversationDatasetTest, ValidatesOnAFileOfItsOwn) {
  DataConfig settings = config(write("rows.jsonl", rows(10)));
  settings.validation_path = write("held.jsonl", rows(5, 100));
  settings.validation_samples = 3;
  settings.max_samples = 7;
  const auto data = open_datasets(settings, needs());
  EXPECT_EQ(data.train->size(), 7);
  EXPECT_EQ(data.validation->size(), 3);
}

TEST_F(ConversationDatasetTest, ABlendTakesFromEachFileByItsWeight) {
  DataConfig settings = config("");
  const fs::path a = write("a.jsonl", rows(10)), b = write("b.jsonl", rows(30, 1000));
  settings.blend = {"3", a.string(), "1", b.string()};
  const auto data = open_datasets(settings, needs());
  EXPECT_EQ(data.train->size(), 40);
  const SampleStream stream(*data.train, 1, Shuffle::kOn);
  std::map<std::int64_t, int> times;
  int from_a = 0;
  for (std::int64_t p = 0; p < 40; ++p) {
    const std::int64_t row = stream.row(p);
    ++times[row];
    from_a += row < 10;
    EXPECT_EQ(data.train->raw(row).where.starts_with(a.string()), row < 10);
  }
  EXPECT_EQ(from_a, 30);
  for (std::int64_t row = 0; row < 10; ++row) EXPECT_EQ(times[row], 3) << row;  // three epochs of the small set, each whole
  settings.blend = {"1", a.string(), "1", b.string()};
  EXPECT_NE(open_datasets(settings, needs()).train->counts().fingerprint, data.train->counts().fingerprint);
  settings.validation_fraction = 0.3;
  const auto held = open_datasets(settings, needs());
  EXPECT_EQ(held.train->size() + held.validation->size(), 40);
  settings.path = a;
  Violations both;
  settings.check(both);
  EXPECT_FALSE(both.empty());
}

TEST_F(ConversationDatasetTest, PackedAndPlainBatchesTrainTheSameTokens) {
  DataConfig settings = config(write("rows.jsonl", rows(40)));
  const auto plain = open_datasets(settings, needs());
  settings.packing = Packing::kBestFit;
  const auto packed = open_datasets(settings, needs());
  const auto whole = [](const Dataset& set) {
    std::vector<Sample> samples;
    for (std::int64_t i = 0; i < set.size(); ++i) samples.push_back(set.at(i));
    return make_batch(samples, 0);
  };
  EXPECT_EQ(whole(*plain.train).target_tokens, whole(*packed.train).target_tokens);
}

}  // namespace
}  // namespace sluice::data
