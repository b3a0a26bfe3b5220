#include "sluice/data/formats.h"

#include <gtest/gtest.h>

#include "byte_tokenizer.h"
#include "sluice/base/error.h"
#include "sluice/base/rng.h"

namespace sluice::data {
namespace {

std::string decoded(const ByteTokenizer& tokenizer, const std::vector<std::int32_t>& ids) {
  return tokenizer.decode(ids, text::DecodeSpecial::kKeep);
}

std::vector<std::int32_t> trained(const Sample& sample) {
  std::vector<std::int32_t> out;
  for (std::size_t i = 0; i < sample.labels.size(); ++i) {
    if (sample.labels[i] == kNotTrained) continue;
    EXPECT_EQ(sample.labels[i], sample.ids[i]) << "a label stands at its own position";
    out.push_back(sample.labels[i]);
  }
  return out;
}

ReadRow read(const DataConfig& config, const ByteTokenizer& tokenizer, const std::string& line,
             LabelPolicy labels = LabelPolicy::kOptional) {
  return make_row_reader(config, {&tokenizer, kByteVocab, labels})->read(line, "rows.jsonl:7");
}

std::string error_of(const DataConfig& config, const std::string& line, std::int64_t vocab = kByteVocab,
                     LabelPolicy labels = LabelPolicy::kOptional, TextLines lines = TextLines::kJson) {
  const ByteTokenizer tokenizer;
  try {
    make_row_reader(config, {&tokenizer, vocab, labels}, lines)->read(line, "rows.jsonl:7");
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

testing::AssertionResult has(const std::string& text, const std::string& part) {
  return text.find(part) == std::string::npos ? testing::AssertionFailure() << "no '" << part << "' in: " << text
                                              : testing::AssertionSuccess();
}

TEST(Qa, TrainsOnTheAnswerAndItsEndTokenAlone) {
  const ByteTokenizer tokenizer;
  const Sample sample = read({}, tokenizer, R"({"question": "Who?", "answer": "Me", "expert_label": "multi_hop_reasoning"})").sample;
  EXPECT_EQ(decoded(tokenizer, sample.ids), "Question: Who?\nAnswer: Me<end>");
  EXPECT_EQ(decoded(tokenizer, trained(sample)), " Me<end>");
  EXPECT_EQ(sample.prompt_length, 22);
  EXPECT_EQ(sample.expert_label, 2);
  EXPECT_EQ(sample.real, std::vector<std::uint8_t>(sample.ids.size(), 1));
}

TEST(Qa, PutsTheTokenizersBosFirstAndDoesNotTrainOnIt) {
  const ByteTokenizer tokenizer(ByteTokenizer::Bos::kAdds);
  const Sample sample = read({}, tokenizer, R"({"question": "Who?", "answer": "Me"})").sample;
  EXPECT_EQ(decoded(tokenizer, sample.ids), "<bos>Question: Who?\nAnswer: Me<end>");
  EXPECT_EQ(decoded(tokenizer, trained(sample)), " Me<end>");
  EXPECT_EQ(sample.expert_label, kNoExpertLabel);
}

TEST(Qa, TakesAnswersAsTextListOrObject) {
  for (const char* answer : {R"("x")", R"(["x", "y"])", R"({"text": "x"})", R"({"text": ["x", "y"], "start": [1, 2]})"}) {
    const QaRow row = parse_qa_row(parse_json(R"({"question": "q", "answer": )" + std::string(answer) + "}", "f:1"), "f:1");
    EXPECT_EQ(row.answers[0], "x") << answer;
    EXPECT_EQ(row.answers.size(), std::string(answer).find("y") == std::string::npos ? 1u : 2u) << answer;
  }
}

TEST(Qa, CutsALongQuestionAtItsEndAndKeepsTheRestOfThePrompt) {
  const ByteTokenizer tokenizer(ByteTokenizer::Bos::kAdds);
  DataConfig config;
  config.seq_length = 30;  // <bos> 1, "Question: " 10, "\nAnswer:" 8: 11 bytes are left for the question
  config.max_target_length = 8;
  const ReadRow row = read(config, tokenizer, R"({"question": "abcdefghijklmnopqrst", "answer": "Me"})");
  EXPECT_EQ(decoded(tokenizer, row.sample.ids), "<bos>Question: abcdefghijk\nAnswer: Me<end>");
  EXPECT_EQ(row.sample.prompt_length, 30);
  EXPECT_EQ(row.prompt_tokens_cut, 9);
  EXPECT_EQ(row.answer_tokens_cut, 0);
}

TEST(Qa, NeverCutsACharacterInTwo) {
  const ByteTokenizer tokenizer;
  DataConfig config;
  config.seq_length = 18 + 3;  // room for 3 bytes; each of these characters takes 2
  const ReadRow row = read(config, tokenizer, "{\"question\": \"\u00e9\u00e9\u00e9\", \"answer\": \"Me\"}");
  EXPECT_EQ(decoded(tokenizer, row.sample.ids), "Question: \u00e9\nAnswer: Me<end>");
  EXPECT_EQ(row.prompt_tokens_cut, 4);
}

TEST(Qa, CutsALongAnswerWithoutAnEndToken) {
  const ByteTokenizer tokenizer;
  DataConfig config;
  config.max_target_length = 4;
  const ReadRow cut = read(config, tokenizer, R"({"question": "q", "answer": "abcdef"})");
  EXPECT_EQ(decoded(tokenizer, trained(cut.sample)), " abc");
  EXPECT_EQ(cut.answer_tokens_cut, 4);
  const ReadRow whole = read(config, tokenizer, R"({"question": "q", "answer": "ab"})");
  EXPECT_EQ(decoded(tokenizer, trained(whole.sample)), " ab<end>");
  EXPECT_EQ(whole.answer_tokens_cut, 0);
}

TEST(Qa, DefaultsTo64PromptAnd32AnswerTokens) {
  const ByteTokenizer tokenizer;
  const std::string long_text(200, 'x');
  const ReadRow row = read({}, tokenizer, R"({"question": ")" + long_text + R"(", "answer": ")" + long_text + "\"}");
  EXPECT_EQ(row.sample.prompt_length, 64);
  EXPECT_EQ(row.sample.ids.size(), 64u + 32u);
}

TEST(Qa, TrainsOnATokenThatSpansPromptAndAnswer) {
  ByteTokenizer tokenizer;
  tokenizer.merge_colon_space = true;
  const Sample sample = read({}, tokenizer, R"({"question": "q", "answer": "Me"})").sample;
  EXPECT_EQ(decoded(tokenizer, sample.ids), "Question: q\nAnswer: Me<end>");
  EXPECT_EQ(decoded(tokenizer, trained(sample)), ": Me<end>");
}

TEST(Qa, RefusesASeqLengthWithoutRoomForAQuestion) {
  DataConfig config;
  config.seq_length = 18;
  EXPECT_TRUE(has(error_of(config, "{}"), "use at least 19"));
}

TEST(Qa, RefusesATokenizerWithoutAnEndToken) {
  const ByteTokenizer tokenizer(ByteTokenizer::Bos::kNone, ByteTokenizer::End::kNone);
  EXPECT_THROW(make_row_reader({}, {&tokenizer, kByteVocab}), Error);
  EXPECT_THROW(make_row_reader({}, {nullptr, kByteVocab}), Error);
}

TEST(Qa, RefusesATokenizerThatIsNotTheModels) {
  EXPECT_TRUE(has(error_of({}, R"({"question": "q", "answer": "z"})", 120), "past the model's vocabulary of 120"));
}

TEST(Qa, NamesFileAndLineOfAMalformedRow) {
  const std::pair<const char*, const char*> cases[] = {
      {"not json", "not valid JSON"},
      {"", "not valid JSON"},
      {"[1, 2]", "is an array, not an object"},
      {"3", "is a number, not an object"},
      {"{}", "has no \"question\""},
      {R"({"prompt": "q", "answer": "a"})", "its keys are answer or prompt"},
      {R"({"question": 3, "answer": "a"})", "\"question\" is a number, not a text"},
      {R"({"question": "  ", "answer": "a"})", "\"question\" is empty"},
      {R"({"question": "q"})", "has no \"answer\""},
      {R"({"question": "q", "answer": null})", "\"answer\" is null, not a text"},
      {R"({"question": "q", "answer": 43})", "\"answer\" is a number, not a text"},
      {R"({"question": "q", "answer": ""})", "\"answer\" is empty"},
      {R"({"question": "q", "answer": []})", "\"answer\" is an empty list"},
      {R"({"question": "q", "answer": [["a"]]})", "\"answer\" is an array, not a text"},
      {R"({"question": "q", "answer": {"value": "a"}})", "without \"text\""},
      {R"({"question": "q", "answer": {"text": []}})", "\"answer\" is an empty list"},
      {R"({"question": "q", "answer": "a", "expert_label": "factual_lokup"})", "did you mean \"factual_lookup\""},
      {R"({"question": "q", "answer": "a", "expert_label": 4})", "expert_label = 4 is no category"},
      {R"({"question": "q", "answer": "a", "expert_label": -1})", "expert_label = -1 is no category"},
      {R"({"question": "q", "answer": "a", "expert_label": 1.5})", "expert_label = 1.5 is no category"},
      {R"({"question": "q", "answer": "a", "expert_label": "4"})", "unknown category \"4\""},
      {R"({"question": "q", "answer": "a", "answer": "b"})", "names \"answer\" twice"},
      {R"({"question": "q", "answer": "a", "x": 1, "\u0078": 2})", "names \"x\" twice"},
      {R"({"question": "q", "answer": "a", "expert_label": true})", "expert_label = true is no category"},
      {"{\"question\": \"\xff\", \"answer\": \"a\"}", "not valid JSON"},
      {R"({"question": "\ud800", "answer": "a"})", "not valid JSON"},
  };
  for (const auto& [line, part] : cases) {
    const std::string error = error_of({}, line);
    EXPECT_EQ(error.find("rows.jsonl:7: "), 0u) << line << " -> " << error;
    EXPECT_TRUE(has(error, part));
    EXPECT_TRUE(has(error, "\n  fix: "));
  }
}

TEST(Qa, NeedsAnExpertLabelOnlyUnderSupervision) {
  const std::string line = R"({"question": "q", "answer": "a", "expert_label": null})";
  EXPECT_EQ(error_of({}, line), "no error");
  EXPECT_TRUE(has(error_of({}, line, kByteVocab, LabelPolicy::kRequired), "rows.jsonl:7: the row has no expert_label"));
}

DataConfig token_ids() {
  DataConfig config;
  config.format = Format::kTokenIds;
  config.seq_length = 3;  // does not cut
  return config;
}

Sample read_ids(const std::string& line) { return make_row_reader(token_ids(), {nullptr, 10})->read(line, "f:1").sample; }

TEST(TokenIds, UsesTheRowWholeAsItStands) {
  const Sample sample = read_ids(R"({"input_ids": [5, 6, 7, 8, 9], "labels": [-100, -100, 7, 0, 9], "expert_label": 1})");
  EXPECT_EQ(sample.ids, (std::vector<std::int32_t>{5, 6, 7, 8, 9}));
  EXPECT_EQ(sample.labels, (std::vector<std::int32_t>{-100, -100, 7, 0, 9}));
  EXPECT_EQ(sample.real, (std::vector<std::uint8_t>{1, 1, 1, 1, 1})) << "without a mask every position is real, whatever its label";
  EXPECT_EQ(sample.prompt_length, 2);
  EXPECT_EQ(sample.expert_label, 1);
}

TEST(Qa, ReadsANumberOfALabelInPandasWays) {
  const ByteTokenizer tokenizer;
  for (const char* label : {"1", "1.0", "\"1\"", "\"1.0\"", "\"numerical_reasoning\""}) {
    EXPECT_EQ(read({}, tokenizer, R"({"question": "q", "answer": "a", "expert_label": )" + std::string(label) + "}").sample.expert_label, 1) << label;
  }
}

TEST(RowObject, RefusesAKeyTwiceAtTheTopAlone) {
  EXPECT_EQ(parse_row_object(R"({"a": {"b": 1, "b": 2}, "c": [{"d": 1}, {"d": 2}]})", "f:1").size(), 2u);
  EXPECT_EQ(parse_row_object("\xEF\xBB\xBF {}", "f:1").size(), 0u);
  EXPECT_THROW(parse_row_object(R"({"a": 1, "b": 2, "a": 1})", "f:1"), Error);
}

TEST(TokenIds, DoesNotTrainOnWhatFillingWouldPredict) {
  const Sample left = read_ids(R"({"input_ids": [0, 0, 5, 6], "attention_mask": [0, 0, 1, 1], "labels": [-100, -100, 5, 6]})");
  EXPECT_EQ(left.labels, (std::vector<std::int32_t>{-100, -100, -100, 6}));
  EXPECT_EQ(left.prompt_length, 3);
  EXPECT_EQ(read_ids(R"({"input_ids": [4, 0, 5, 6], "attention_mask": [1, 0, 1, 1]})").labels, (std::vector<std::int32_t>{4, -100, -100, 6}));
}

TEST(TokenIds, TrainsOnEveryRealTokenWithoutLabels) {
  EXPECT_EQ(read_ids(R"({"input_ids": [5, 6, 7]})").labels, (std::vector<std::int32_t>{5, 6, 7}));
  const Sample masked = read_ids(R"({"input_ids": [5, 6, 7], "attention_mask": [1, 1, 0]})");
  EXPECT_EQ(masked.labels, (std::vector<std::int32_t>{5, 6, -100}));
  EXPECT_EQ(masked.real, (std::vector<std::uint8_t>{1, 1, 0}));
}

TEST(TokenIds, NamesFileLineIdAndLimit) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"input_ids": [5, 10]})", "input_ids[1] = 10 is not a whole number from 0 to 9 (the model's vocabulary has 10 tokens)"},
      {R"({"input_ids": [-1]})", "input_ids[0] = -1 is not"},
      {R"({"input_ids": [-100]})", "input_ids[0] = -100 is not"},
      {R"({"input_ids": [18446744073709551615]})", "input_ids[0] = 18446744073709551615 is not"},
      {R"({"input_ids": [99999999999999999999999]})", "is not a whole number"},
      {R"({"input_ids": [4294967297]})", "input_ids[0] = 4294967297 is not"},
      {R"({"input_ids": [1.0]})", "input_ids[0] = 1.0 is not"},
      {R"({"input_ids": ["1"]})", "input_ids[0] = \"1\" is not"},
      {R"({"input_ids": [[1]]})", "input_ids[0] = [1] is not"},
      {R"({"input_ids": [true]})", "input_ids[0] = true is not"},
      {R"({"input_ids": 1})", "\"input_ids\" is not a list"},
      {R"({"input_ids": []})", "\"input_ids\" is empty"},
      {R"({"ids": [1]})", "has no \"input_ids\"; its keys are ids"},
      {R"({"input_ids": [1, 2], "labels": [1]})", "\"labels\" has 1 entries and \"input_ids\" has 2"},
      {R"({"input_ids": [1, 2], "labels": [1, -99]})", "labels[1] = -99 is not a whole number from 0 to 9"},
      {R"({"input_ids": [1, 2], "labels": null})", "\"labels\" is not a list"},
      {R"({"input_ids": [1, 2], "attention_mask": [1, 2]})", "attention_mask[1] = 2 is not a whole number from 0 to 1"},
      {R"({"input_ids": [1, 2], "attention_mask": [1]})", "\"attention_mask\" has 1 entries"},
      {R"({"input_ids": [1, 2], "attention_mask": [0, 0]})", "has no 1"},
      {R"({"input_ids": [1], "expert_label": "maths"})", "unknown category \"maths\""},
  };
  for (const auto& [line, part] : cases) {
    const std::string error = error_of(token_ids(), line, 10);
    EXPECT_EQ(error.find("rows.jsonl:7: "), 0u) << line << " -> " << error;
    EXPECT_TRUE(has(error, part));
  }
}

DataConfig text_format(std::int64_t seq_length) {
  DataConfig config;
  config.format = Format::kText;
  config.seq_length = seq_length;
  return config;
}

TEST(Text, TrainsOnEveryTokenOfADocumentAndItsEnd) {
  const ByteTokenizer tokenizer(ByteTokenizer::Bos::kAdds);
  const ReadRow row = read(text_format(16), tokenizer, R"({"text": "abc", "source": "x"})");
  EXPECT_EQ(decoded(tokenizer, row.sample.ids), "<bos>abc<end>");
  EXPECT_EQ(row.sample.labels, row.sample.ids);
  EXPECT_EQ(row.text_tokens_cut, 0);
}

TEST(Text, CutsALongDocumentAndCountsIt) {
  const ByteTokenizer tokenizer;
  const ReadRow row = read(text_format(4), tokenizer, R"({"text": "abcdef"})");
  EXPECT_EQ(decoded(tokenizer, row.sample.ids), "abcd");
  EXPECT_EQ(row.text_tokens_cut, 3);
}

TEST(Text, TakesPlainLinesAsTheyStand) {
  const ByteTokenizer tokenizer;
  const auto reader = make_row_reader(text_format(16), {&tokenizer, kByteVocab}, TextLines::kPlain);
  EXPECT_EQ(decoded(tokenizer, reader->read(R"({"text": 1})", "f:1").sample.ids), R"({"text": 1})"
                                                                                  "<end>");
  EXPECT_TRUE(has(error_of(text_format(16), "\xff\xfe", kByteVocab, LabelPolicy::kOptional, TextLines::kPlain), "rows.jsonl:7"));
}

TEST(RowReader, ChecksARowWithoutTokensAsStrictlyAsItReadsIt) {
  const ByteTokenizer tokenizer;
  const std::pair<DataConfig, const char*> good[] = {
      {{}, R"({"question": "q", "answer": "a"})"}, {token_ids(), R"({"input_ids": [1]})"}, {text_format(8), R"({"text": "a"})"}};
  for (const auto& [config, line] : good) {
    const auto reader = make_row_reader(config, {&tokenizer, kByteVocab});
    EXPECT_NO_THROW(reader->check(line, "f:1"));
    for (const char* bad : {"x", "{}", "[]", R"({"question": 1, "input_ids": 1, "text": 1})"})
      EXPECT_THROW(reader->check(bad, "f:1"), Error) << bad;
  }
}

// Any other exception, or a read outside memory under the sanitizers, fails.
TEST(RowReader, RowsWithDamagedBytesAreReadOrRefusedNothingElse) {
  const ByteTokenizer tokenizer;
  const std::pair<DataConfig, std::string> rows[] = {
      {{}, R"({"question": "Who \u00e9?", "answer": {"text": ["a", "b"]}, "expert_label": "factual_lookup"})"},
      {token_ids(), R"({"input_ids": [1, 2, 3], "labels": [-100, 2, 3], "attention_mask": [1, 1, 0], "expert_label": 3})"},
      {text_format(8), R"({"text": "a \ud83d\ude00 b"})"}};
  Rng rng(1, 0);
  int read = 0, refused = 0;
  for (const auto& [config, row] : rows) {
    const auto reader = make_row_reader(config, {&tokenizer, kByteVocab});
    for (int round = 0; round < 3000; ++round) {
      std::string line = row;
      for (std::uint64_t damage = rng.below(3) + 1; damage > 0; --damage) {
        const std::size_t at = rng.below(line.size());
        if (rng.below(3) == 0)
          line.erase(at, rng.below(4) + 1);
        else
          line[at] = "[]{}\",:-0159ae\\\xff\x00 "[rng.below(19)];
      }
      try {
        const Sample sample = reader->read(line, "f:1").sample;
        ASSERT_FALSE(sample.ids.empty());
        ASSERT_EQ(sample.labels.size(), sample.ids.size());
        ASSERT_EQ(sample.real.size(), sample.ids.size());
        ++read;
      } catch (const Error& error) {
        ASSERT_EQ(std::string(error.what()).find("f:1: "), 0u) << line;
        ++refused;
      }
    }
  }
  EXPECT_GT(read, 500);
  EXPECT_GT(refused, 500);
}

TEST(DataConfig, ReportsAllThatCannotWorkTogether) {
  DataConfig config;
  config.max_samples = -1;
  config.packing = Packing::kConcat;
  config.validation_fraction = 1.5;
  config.validation_path = "x";
  Violations violations;
  config.check(violations);
  try {
    violations.raise("data");
    FAIL() << "no error";
  } catch (const Error& error) {
    for (const char* part :
         {"data.max_samples = -1", "data.packing = concat", "data.validation_fraction = 1.5", "are both set"}) {
      EXPECT_TRUE(has(std::string(error.what()), part));
    }
  }
}

}  // namespace
}  // namespace sluice::data
