#include "sluice/cli/tokenize.h"

#include <gtest/gtest.h>

#include <sstream>

#include "sluice/base/error.h"
#include "sluice/base/json.h"
#include "sluice/text/hf_tokenizer.h"

namespace sluice::cli {
namespace {

// The 128 ASCII characters and the euro sign, each a token; BOS is 200.
const text::Tokenizer& tokenizer() {
  static const text::HfTokenizer made = [] {
    Json vocab = {{"<s>", 200}, {"\u20ac", 130}};
    for (int code = 0; code < 128; ++code) vocab[std::string(1, static_cast<char>(code))] = code;
    const Json special = {{"<s>", {{"ids", {200}}}}};
    const Json single = {{{"SpecialToken", {{"id", "<s>"}}}}, {{"Sequence", {{"id", "A"}}}}};
    return text::HfTokenizer({{"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", Json::array()}}},
                              {"decoder", {{"type", "Fuse"}}},
                              {"post_processor", {{"type", "TemplateProcessing"}, {"single", single}, {"special_tokens", special}}}},
                             "test");
  }();
  return made;
}

std::string tokenized(const std::string& lines, text::SpecialTokens add = text::SpecialTokens::kNone) {
  std::istringstream in(lines);
  std::ostringstream out;
  tokenize(tokenizer(), add, in, out, 1);
  return out.str();
}

std::string detokenized(const std::string& lines) {
  std::istringstream in(lines);
  std::ostringstream out;
  detokenize(tokenizer(), in, out, 1);
  return out.str();
}

template <class Work>
std::string error_of(const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Tokenize, WritesOneLineOfIdsForEachText) {
  EXPECT_EQ(tokenized("{\"text\": \"ab\"}\n\n{\"text\": \"\", \"more\": 1}\n{\"text\": \"\\u20ac\\u0000\"}"),
            "{\"ids\":[97,98]}\n{\"ids\":[]}\n{\"ids\":[130,0]}\n");
  EXPECT_EQ(tokenized("{\"text\": \"\"}\n", text::SpecialTokens::kAdd), "{\"ids\":[200]}\n");
}

TEST(Tokenize, WritesTheTextOfIdsInAscii) {
  EXPECT_EQ(detokenized("{\"ids\": [97, 130, 10]}\n{\"ids\": []}\n"), "{\"text\":\"a\\u20ac\\n\"}\n{\"text\":\"\"}\n");
}

TEST(Tokenize, NamesTheLineThatIsWrong) {
  const std::string good = "{\"text\": \"a\"}\n";
  for (const char* bad :
       {"not JSON", "[]", "{}", "{\"text\": 1}", "{\"text\": \"\\ud800\"}", "{\"text\": \"\\udc00x\"}", "{\"text\": \"\xff\"}"}) {
    EXPECT_TRUE(error_of([&] { tokenized(good + bad); }).starts_with("stdin:2")) << bad << ": " << error_of([&] { tokenized(good + bad); });
  }
  for (const char* bad : {"{\"ids\": 1}", "{\"ids\": [\"a\"]}", "{\"ids\": [-1]}", "{\"ids\": [201]}", "{\"ids\": [1.5]}",
                          "{\"ids\": [18446744073709551615]}", "{\"ids\": [4294967296]}"}) {
    EXPECT_TRUE(error_of([&] { detokenized(bad); }).starts_with("stdin:1")) << bad << ": " << error_of([&] { detokenized(bad); });
  }
}

TEST(Tokenize, KeepsTheLinesBeforeAnError) {
  for (const int threads : {1, 4}) {
    std::istringstream in("{\"text\": \"a\"}\nbroken\n{\"text\": \"b\"}\n");
    std::ostringstream out;
    EXPECT_THROW(tokenize(tokenizer(), text::SpecialTokens::kNone, in, out, threads), Error);
    EXPECT_EQ(out.str(), "{\"ids\":[97]}\n") << threads << " threads";
  }
}

TEST(Tokenize, ManyThreadsWriteWhatOneWrites) {
  std::string lines;  // more than one block
  for (int i = 0; i < 50'000; ++i)
    lines += "{\"text\": \"" + std::string(static_cast<std::size_t>(i % 190), 'a') + std::to_string(i) + "\"}\n";
  ASSERT_GT(lines.size(), std::size_t{5} << 20);
  std::istringstream in(lines);
  std::ostringstream out;
  tokenize(tokenizer(), text::SpecialTokens::kNone, in, out, 4);
  EXPECT_TRUE(out.str() == tokenized(lines)) << "the lines or their order differ";
}

}  // namespace
}  // namespace sluice::cli
