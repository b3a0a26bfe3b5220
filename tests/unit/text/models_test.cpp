// Unigram, WordPiece, WordLevel and compiled character maps on examples made by hand, and broken ones.
#include <gtest/gtest.h>

#include "sluice/base/error.h"
#include "sluice/text/hf_tokenizer.h"

namespace sluice::text {
namespace {

using Ids = std::vector<std::int32_t>;

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

Ids encode(const char* model, const std::string& text) {
  return HfTokenizer({{"model", parse_json(model, "test")}}, "FILE").encode(text, SpecialTokens::kNone);
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

constexpr const char* kUnigram = R"({"type": "Unigram", "unk_id": 0,
  "vocab": [["<unk>", 0], ["a", -1], ["b", -1], ["ab", -1.5], ["abc", -9], ["c", -1], ["a", -3], ["<0xC3>", -20], ["<0xA9>", -20]]})";

TEST(Unigram, TakesTheTokensOfLargestSum) {
  EXPECT_EQ(encode(kUnigram, "ab"), (Ids{3}));          // -1.5 against -4
  EXPECT_EQ(encode(kUnigram, "abc"), (Ids{3, 5}));      // -2.5 against -9
  EXPECT_EQ(encode(kUnigram, "ba"), (Ids{2, 6}));       // "a" counts the second time
  EXPECT_EQ(encode(kUnigram, "xyaz"), (Ids{0, 6, 0}));  // neighbouring unknown characters are one token
}

TEST(Unigram, FallsBackToBytesWhereAllHaveTokens) {
  Json model = parse_json(kUnigram, "test");
  model["byte_fallback"] = true;
  EXPECT_EQ(encode(dump_json(model).c_str(), "\u00e9b"), (Ids{7, 8, 2}));
  EXPECT_EQ(encode(dump_json(model).c_str(), "\u00e8b"), (Ids{0, 2}));
}

TEST(Unigram, WithoutAnUnknownTokenAnUnknownCharacterIsAnError) {
  Json model = parse_json(kUnigram, "test");
  model["unk_id"] = nullptr;
  const std::string whole = dump_json(model);
  EXPECT_EQ(encode(whole.c_str(), "abab"), (Ids{3, 3}));
  EXPECT_PRED2(has, error_of([&] { encode(whole.c_str(), "axb"); }), "has no token for \"x\"");
}

TEST(Unigram, RefusesVocabulariesThatAreNotWhole) {
  EXPECT_PRED2(has, error_of([] { encode(R"({"type": "Unigram", "vocab": {}})", ""); }), "not an array of [token, score]");
  EXPECT_PRED2(has, error_of([] { encode(R"({"type": "Unigram", "vocab": [["a"]]})", ""); }), "(number 0)");
  EXPECT_PRED2(has, error_of([] { encode(R"({"type": "Unigram", "vocab": [["a", "b"]]})", ""); }), "not [token, score]");
  EXPECT_PRED2(has, error_of([] { encode(R"({"type": "Unigram", "unk_id": 1, "vocab": [["a", 0]]})", ""); }), "the unk_id 1");
}

constexpr const char* kWordPiece =
    R"({"type": "WordPiece", "unk_token": "?", "continuing_subword_prefix": "##", "max_input_chars_per_word": 6,
  "vocab": {"?": 0, "un": 1, "##aff": 2, "##able": 3, "u": 4, "##n": 5, "##\u00e9": 6}})";

TEST(WordPiece, TakesTheLongestPartEachTime) {
  EXPECT_EQ(encode(kWordPiece, "unaff"), (Ids{1, 2}));
  EXPECT_EQ(encode(kWordPiece, "un\u00e9\u00e9"), (Ids{1, 6, 6}));
  EXPECT_EQ(encode(kWordPiece, "unx"), (Ids{0}));      // one part that is no token makes all unknown
  EXPECT_EQ(encode(kWordPiece, "affable"), (Ids{0}));  // 7 characters
  Json model = parse_json(kWordPiece, "test");
  model["unk_token"] = "[UNK]";
  EXPECT_PRED2(has, error_of([&] { encode(dump_json(model).c_str(), "x"); }), "its unk_token \"[UNK]\" is not in its vocab");
}

TEST(WordLevel, TakesWholePiecesOnly) {
  const char* model = R"({"type": "WordLevel", "unk_token": "?", "vocab": {"?": 3, "one": 1}})";
  EXPECT_EQ(encode(model, "one"), (Ids{1}));
  EXPECT_EQ(encode(model, "ones"), (Ids{3}));
}

TEST(HfTokenizer, FilesWithoutATypeAreToldApartByWhatTheyHave) {
  EXPECT_EQ(encode(R"({"vocab": [["a", -1]]})", "a"), (Ids{0}));
  EXPECT_EQ(encode(R"({"vocab": {"a": 4}, "unk_token": "a"})", "b"), (Ids{4}));
  EXPECT_EQ(encode(R"({"vocab": {"a": 4}, "merges": []})", "a"), (Ids{4}));
}

TEST(HfTokenizer, TheModelDoesNotFindAddedTokens) {
  const Json model = parse_json(R"({"type": "WordLevel", "unk_token": "?", "vocab": {"?": 0, "ab": 1}})", "test");
  const Json added = {{"content", "b"}, {"id", 2}, {"single_word", true}, {"special", false}};
  const HfTokenizer tokenizer({{"model", model}, {"added_tokens", {added}}, {"pre_tokenizer", {{"type", "FixedLength"}, {"length", 1}}}},
                              "FILE");
  EXPECT_EQ(tokenizer.encode("ab", SpecialTokens::kNone), (Ids{0, 0}));  // "b" is not a word of its own here
  EXPECT_EQ(tokenizer.encode("a b", SpecialTokens::kNone), (Ids{0, 0, 2}));
  EXPECT_EQ(tokenizer.token_id("b"), 2);
  EXPECT_EQ(tokenizer.vocab_size(), 3);
}

TEST(PrecompiledCharsmap, RefusesBytesThatAreNoMap) {
  const auto error_with = [](const char* map) {
    return error_of([&] {
      const Json model = parse_json(R"({"type": "WordLevel", "unk_token": "?", "vocab": {"?": 0}})", "test");
      const HfTokenizer tokenizer({{"model", model}, {"normalizer", {{"type", "Precompiled"}, {"precompiled_charsmap", map}}}}, "FILE");
      tokenizer.encode("abc", SpecialTokens::kNone);
    });
  };
  EXPECT_PRED2(has, error_with(""), "is not base64 of a trie");
  EXPECT_PRED2(has, error_with("????"), "is not base64 of a trie");
  EXPECT_PRED2(has, error_with("/////w=="), "is not base64 of a trie");      // a trie of 4 GiB
  EXPECT_PRED2(has, error_with("AwAAAAAAAA=="), "is not base64 of a trie");  // of three bytes
  EXPECT_PRED2(has, error_with("BAAAAAD8//8="), "points past its end");
}

}  // namespace
}  // namespace sluice::text
