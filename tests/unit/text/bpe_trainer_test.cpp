#include "sluice/text/bpe_trainer.h"

#include <gtest/gtest.h>

#include "sluice/base/error.h"
#include "sluice/text/tokenizer.h"
#include "tests/unit/text/oracle.h"

namespace sluice::text {
namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

const TokenizerRoles kRoles = {.bos = "<|endoftext|>", .eos = "<|endoftext|>", .pad = "<|pad|>", .model_max_length = 512};

BpeTraining training_to(std::int64_t vocab_size) { return {.vocab_size = vocab_size, .special_tokens = {"<|endoftext|>", "<|pad|>"}}; }

// Questions made of a few hundred words, some not ASCII, with numbers and odd spacing: enough repeated pairs for 2,048 tokens.
std::vector<std::string> questions(int count) {
  const char* starts[] = {"Who", "What is", "Where's", "How many", "Why do", "Which of", "Wo ist", "\u00bfD\u00f3nde est\u00e1"};
  const char* syllables[] = {"ka", "to", "ri",           "men", "so",  "lu",  "\u00e9", "pra",
                             "xy", "bo", "\u65e5\u672c", "zen", "qua", "str", "ish",    "ow"};
  std::vector<std::string> texts;
  unsigned state = 1;
  const auto next = [&](unsigned limit) {
    state = state * 1664525U + 1013904223U;
    return (state >> 10) % limit;
  };
  for (int i = 0; i < count; ++i) {
    std::string text = starts[next(8)];
    for (unsigned word = next(6) + 2; word > 0; --word) {
      text += next(30) == 0 ? "  " : " ";
      unsigned seed = next(3000) * 2654435761U;
      for (unsigned part = 0; part < 2 + seed % 3; ++part) text += syllables[seed >> (4 * part + 4) & 15];
    }
    if (next(3) == 0) text += " " + std::to_string(next(3000)) + "'s";
    texts.push_back(text + (next(9) == 0 ? "?\n" : "?"));
  }
  return texts;
}

TrainedBpe train(const BpeTraining& training, const std::vector<std::string>& texts) {
  BpeTrainer trainer(training);
  for (const std::string& text : texts) trainer.add(text);
  return trainer.train();
}

TEST(BpeTrainer, JoinsTheMostFrequentPairFirst) {  // by hand: "ab" 5 times, "abc" 3 times, then "bc" in "xbc" twice
  const TrainedBpe bpe = train({.vocab_size = 256 + 3, .special_tokens = {}}, {"abc", "abc", "abc", "ab", "ab", "xbc", "xbc"});
  ASSERT_EQ(bpe.merges.size(), 3U);
  EXPECT_EQ(bpe.merges[0], std::pair(std::string("a"), std::string("b")));
  EXPECT_EQ(bpe.merges[1], std::pair(std::string("ab"), std::string("c")));
  EXPECT_EQ(bpe.merges[2], std::pair(std::string("b"), std::string("c")));
  EXPECT_EQ(bpe.tokens.size(), 259U);
}

TEST(BpeTrainer, DoesNotDependOnTheOrderOfTheTexts) {
  std::vector<std::string> texts = questions(400);
  const TrainedBpe first = train(training_to(600), texts);
  std::reverse(texts.begin(), texts.end());
  EXPECT_EQ(train(training_to(600), texts).merges, first.merges);
}

TEST(BpeTrainer, RoundTripsAnyText) {
  const ScratchFolder scratch;
  write_tokenizer(train(training_to(700), questions(400)), kRoles, scratch.path());
  const auto tokenizer = open_tokenizer(scratch.path());
  EXPECT_EQ(tokenizer->vocab_size(), 700);
  EXPECT_EQ(tokenizer->bos_id(), 0);
  EXPECT_EQ(tokenizer->eos_id(), 0);
  EXPECT_EQ(tokenizer->pad_id(), 1);
  for (const char* text : {"", "never seen: \U0001f600 \u0928\u092e\u0938\u094d\u0924\u0947", "a\r\n\t b  c"}) {
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text, SpecialTokens::kAdd)), text);
  }
}

TEST(BpeTrainer, MakesTheFilesThatHfReadsAndWouldMakeItself) {
  SLUICE_NEEDS_ORACLE();
  const ScratchFolder scratch;
  const std::vector<std::string> texts = questions(2000);
  write_tokenizer(train(training_to(2048), texts), kRoles, scratch.path());
  const auto tokenizer = open_tokenizer(scratch.path());
  std::string rows;
  for (const std::string& text : texts)
    rows += dump_json(Json{{"text", text}, {"ids", tokenizer->encode(text, SpecialTokens::kAdd)}}) + "\n";
  write_file_atomic(scratch.path() / "texts.jsonl", rows);
  EXPECT_EQ(run_oracle("trained \"" + scratch.path().string() + "\" \"" + (scratch.path() / "texts.jsonl").string() + "\""), 0);
}

std::string error_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(BpeTrainer, RefusesWhatCannotBe) {
  EXPECT_PRED2(has, error_of([] { BpeTrainer(training_to(257)); }), "at least 258");
  EXPECT_PRED2(has, error_of([] { BpeTrainer({.vocab_size = 300, .special_tokens = {"<s>", "<s>"}}); }), "given twice");
  EXPECT_PRED2(has, error_of([] { BpeTrainer({.vocab_size = 300, .special_tokens = {""}}); }), "is empty");
  EXPECT_PRED2(has, error_of([] { BpeTrainer({.vocab_size = 300, .special_tokens = {"a"}}); }), "a single byte");
  EXPECT_PRED2(has, error_of([] { train({.vocab_size = 300, .special_tokens = {}}, {"ab", "ab"}); }), "at most 257 tokens");
  EXPECT_PRED2(has, error_of([] { train({.vocab_size = 300, .special_tokens = {}}, {"\xff"}); }), "not valid UTF-8");
  const ScratchFolder scratch;
  EXPECT_PRED2(has, error_of([&] { write_tokenizer(train({.vocab_size = 256, .special_tokens = {}}, {}), kRoles, scratch.path()); }),
               "is not one of");
}

}  // namespace
}  // namespace sluice::text
