// Opening tokenizers, hostile files, special tokens, streaming.
#include "sluice/text/tokenizer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "sluice/base/error.h"
#include "sluice/text/hf_tokenizer.h"
#include "sluice/text/stream_decoder.h"
#include "sluice/text/utf8.h"
#include "tests/unit/text/oracle.h"

namespace sluice::text {
namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

using Ids = std::vector<std::int32_t>;

// a, b, c, ab, abc, <s>, </s>, and the bytes of the euro sign.
Json small_tokenizer() {
  return parse_json(R"({"version": "1.0",
    "added_tokens": [{"id": 5, "content": "<s>", "special": true, "normalized": false},
                     {"id": 6, "content": "</s>", "special": true, "normalized": false}],
    "normalizer": null, "pre_tokenizer": null, "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]},
    "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
      "special_tokens": {"<s>": {"id": "<s>", "ids": [5], "tokens": ["<s>"]}}},
    "model": {"type": "BPE", "byte_fallback": true,
      "vocab": {"a": 0, "b": 1, "c": 2, "ab": 3, "abc": 4, "<s>": 5, "</s>": 6, "<0xE2>": 7, "<0x82>": 8, "<0xAC>": 9},
      "merges": ["a b", ["ab", "c"]]}})",
                    "test");
}

std::string error_of(const Json& json) {
  try {
    const HfTokenizer tokenizer(json, "FILE");
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::string error_of_opening(const fs::path& path) {
  try {
    open_tokenizer(path);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(HfTokenizer, JoinsPairsByRankAndFindsSpecialTokensFirst) {
  const HfTokenizer tokenizer(small_tokenizer(), "test");
  EXPECT_EQ(tokenizer.encode("abcab", SpecialTokens::kNone), (Ids{4, 3}));
  EXPECT_EQ(tokenizer.encode("a<s>b</s>", SpecialTokens::kAdd), (Ids{5, 0, 5, 1, 6}));
  EXPECT_EQ(tokenizer.encode("\u20ac", SpecialTokens::kNone), (Ids{7, 8, 9}));
  EXPECT_EQ(tokenizer.encode("", SpecialTokens::kAdd), (Ids{5}));
  EXPECT_EQ(tokenizer.vocab_size(), 10);
  EXPECT_EQ(tokenizer.token_id("ab"), 3);
  EXPECT_EQ(tokenizer.token(4), "abc");
}

TEST(HfTokenizer, IdsWithoutATokenHaveNoText) {
  const HfTokenizer tokenizer(small_tokenizer(), "test");
  EXPECT_EQ(tokenizer.decode(Ids{0, -1, 10, 1 << 30, 1}), "ab");
  EXPECT_EQ(tokenizer.token(10), "");
  EXPECT_EQ(tokenizer.token(-1), "");
}

TEST(HfTokenizer, LeavesSpecialTokensOutOfTheTextOnRequest) {
  const HfTokenizer tokenizer(small_tokenizer(), "test");
  EXPECT_EQ(tokenizer.decode(Ids{5, 0, 6}), "<s>a</s>");
  EXPECT_EQ(tokenizer.decode(Ids{5, 0, 6}, DecodeSpecial::kSkip), "a");
}

TEST(HfTokenizer, RefusesTextThatIsNotUtf8) {
  const HfTokenizer tokenizer(small_tokenizer(), "test");
  for (const char* text : {"a\xff", "\xc3", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc0\x80"}) {
    EXPECT_THROW(tokenizer.encode(text, SpecialTokens::kNone), Error);
  }
}

TEST(HfTokenizer, EncodesAWordOfAMillionCharacters) {  // would take hours if merging were quadratic
  const HfTokenizer tokenizer(small_tokenizer(), "test");
  std::string text;
  for (int i = 0; i < 400'000; ++i) text += "abc";
  EXPECT_EQ(tokenizer.encode(text, SpecialTokens::kNone), Ids(400'000, 4));
}

// Joins the pair of lowest rank, the leftmost of equals, by looking at everything each time.
Ids merged_slowly(Ids ids, const std::vector<std::array<int, 3>>& merges) {
  for (;;) {
    std::size_t best_rank = merges.size(), best_at = 0;
    for (std::size_t at = 0; at + 1 < ids.size(); ++at) {
      for (std::size_t rank = 0; rank < best_rank; ++rank) {
        if (merges[rank][0] != ids[at] || merges[rank][1] != ids[at + 1]) continue;
        best_rank = rank;
        best_at = at;
      }
    }
    if (best_rank == merges.size()) return ids;
    ids[best_at] = merges[best_rank][2];
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best_at) + 1);
  }
}

TEST(Bpe, MergesShortAndLongWordsAsTheDefinitionSays) {
  std::vector<std::string> tokens = {"a", "b", "c"};
  std::vector<std::array<int, 3>> merges;
  unsigned state = 7;
  const auto random_below = [&](std::size_t limit) {
    state = state * 1664525U + 1013904223U;
    return static_cast<std::size_t>(state >> 8) % limit;
  };
  Json json = small_tokenizer();
  json["model"]["vocab"] = {{"a", 0}, {"b", 1}, {"c", 2}, {"<s>", 100}, {"</s>", 101}};
  json["model"]["merges"] = Json::array();
  json["added_tokens"] = Json::array();
  json["model"]["byte_fallback"] = false;
  while (tokens.size() < 40) {
    const std::size_t left = random_below(tokens.size()), right = random_below(tokens.size());
    const std::string joined = tokens[left] + tokens[right];
    if (joined.size() > 6 || std::find(tokens.begin(), tokens.end(), joined) != tokens.end()) continue;
    merges.push_back({static_cast<int>(left), static_cast<int>(right), static_cast<int>(tokens.size())});
    json["model"]["vocab"][joined] = tokens.size();
    json["model"]["merges"].push_back({tokens[left], tokens[right]});
    tokens.push_back(joined);
  }
  const HfTokenizer tokenizer(json, "test");
  for (std::size_t length = 0; length < 120; ++length) {
    for (int repeat = 0; repeat < 20; ++repeat) {
      std::string text;
      Ids ids;
      for (std::size_t i = 0; i < length; ++i) {
        ids.push_back(static_cast<std::int32_t>(random_below(repeat < 10 ? 3 : 2)));
        text += tokens[static_cast<std::size_t>(ids.back())];
      }
      ASSERT_EQ(tokenizer.encode(text, SpecialTokens::kNone), merged_slowly(ids, merges)) << text;
    }
  }
}

struct Hostile {
  const char* name;
  const char* patch;  // JSON merge patch on small_tokenizer()
  const char* error;  // part of the message
};

TEST(HfTokenizer, HostileFilesAreErrorsThatNameThePlace) {
  const Hostile cases[] = {
      {"no model", R"({"model": null})", "FILE lacks \"model\""},
      {"model is a list", R"({"model": []})", "FILE: model must be a JSON object"},
      {"unknown model", R"({"model": {"type": "WordSalad"}})", "\"WordSalad\", which is not supported"},
      {"vocab is a list", R"({"model": {"vocab": [1]}})", "vocab"},
      {"negative id", R"({"model": {"vocab": {"a": -1}}})", "-1"},
      {"huge id", R"({"model": {"vocab": {"a": 4294967296}}})", "4294967296"},
      {"id beyond all integers", R"({"model": {"vocab": {"a": 18446744073709551615}}})", "18446744073709551615"},
      {"fractional id", R"({"model": {"vocab": {"a": 0.5}}})", "0.5"},
      {"one id twice", R"({"model": {"vocab": {"a": 1}}})", "the id 1 to both"},
      {"merge of one part", R"({"model": {"merges": ["ab"]}})", "is not two tokens"},
      {"merge of three parts", R"({"model": {"merges": ["a b c"]}})", "is not two tokens"},
      {"merge of numbers", R"({"model": {"merges": [[0, 1]]}})", "is not two tokens"},
      {"merge of an unknown token", R"({"model": {"merges": ["a x"]}})", "\"x\", which vocab lacks"},
      {"merge into an unknown token", R"({"model": {"merges": ["b a"]}})", "\"ba\", which vocab lacks"},
      {"merges are text", R"({"model": {"merges": "a b"}})", "not an array"},
      {"unknown token not in vocab", R"({"model": {"unk_token": "<unk>"}})", "<unk>"},
      {"dropout", R"({"model": {"dropout": 0.1}})", "dropout 0.1"},
      {"unknown normalizer", R"({"normalizer": {"type": "Shuffle"}})", "normalizer \"Shuffle\" is not supported"},
      {"normalizer without a type", R"({"normalizer": {}})", "lacks \"type\""},
      {"normalizer is text", R"({"normalizer": "NFC"})", "must be a JSON object"},
      {"unknown pre-tokenizer", R"({"pre_tokenizer": {"type": "Scissors"}})", "pre-tokenizer \"Scissors\" is not supported"},
      {"unknown decoder", R"({"decoder": {"type": "Foo"}})", "decoder \"Foo\" is not supported"},
      {"unknown post-processor", R"({"post_processor": {"type": "Foo"}})", "post-processor \"Foo\" is not supported"},
      {"broken pattern", R"({"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(a"}, "behavior": "Isolated"}})",
       "cannot be compiled"},
      {"huge pattern",
       R"P({"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "((((a{999}){999}){999}){999})"}, "behavior": "Isolated"}})P",
       "cannot be compiled"},
      {"pattern of no kind", R"({"pre_tokenizer": {"type": "Split", "pattern": {}, "behavior": "Isolated"}})", "neither"},
      {"unknown behavior", R"({"pre_tokenizer": {"type": "Split", "pattern": {"String": "a"}, "behavior": "Eaten"}})", "Eaten"},
      {"replacing nothing", R"({"normalizer": {"type": "Replace", "pattern": {"String": ""}, "content": "x"}})", "empty string"},
      {"replacement of two characters", R"({"decoder": {"type": "Metaspace", "replacement": "ab"}})", "one character"},
      {"template names a strange token", R"({"post_processor": {"special_tokens": null}})", "special_tokens"},
      {"template without the text", R"({"post_processor": {"single": []}})", "0 times"},
      {"template with a wild id", R"({"post_processor": {"special_tokens": {"<s>": {"ids": [-5]}}}})", "-5"},
      {"added token with another id", R"({"added_tokens": [{"id": 3, "content": "a"}]})", "the id 3 to both"},
      {"added token with two ids", R"({"added_tokens": [{"id": 50, "content": "a"}]})", "both the id 0 and 50"},
      {"added token without content", R"({"added_tokens": [{"id": 50}]})", "lacks \"content\""},
      {"added tokens are an object", R"({"added_tokens": {"<s>": 5}})", "an array"},
  };
  for (const Hostile& hostile : cases) {
    Json json = small_tokenizer();
    json.merge_patch(parse_json(hostile.patch, "test"));
    EXPECT_PRED2(has, error_of(json), hostile.error) << hostile.name;
    EXPECT_PRED2(has, error_of(json), "fix: ") << hostile.name;
  }
}

TEST(HfTokenizer, ComponentsNestedWithoutEndAreAnError) {
  Json nested = {{"type", "NFC"}};
  for (int depth = 0; depth < 5000; ++depth) nested = {{"type", "Sequence"}, {"normalizers", Json::array({std::move(nested)})}};
  Json json = small_tokenizer();
  json["normalizer"] = std::move(nested);
  EXPECT_PRED2(has, error_of(json), "nested more than 32 deep");
}

TEST(HfTokenizer, APatternThatBacktracksWithoutEndIsAnError) {
  Json json = small_tokenizer();
  json["pre_tokenizer"] = {{"type", "Split"}, {"pattern", {{"Regex", "(a|aa)+\\z"}}}, {"behavior", "Isolated"}};
  const HfTokenizer tokenizer(json, "FILE");
  EXPECT_THROW(tokenizer.encode(std::string(100, 'a') + "!", SpecialTokens::kNone), Error);
}

TEST(HfTokenizer, MutatedFilesAreErrorsOrTokenizers) {
  const std::string whole = dump_json(small_tokenizer());
  const std::string alphabet = "\"[]{}:,0123456789-.abc<>\\ux\xe2\xff";
  unsigned state = 3;
  const auto random_below = [&](std::size_t limit) {
    state = state * 1664525U + 1013904223U;
    return static_cast<std::size_t>(state >> 8) % limit;
  };
  int opened = 0;
  for (int i = 0; i < 5000; ++i) {
    std::string mutated = whole;
    for (std::size_t changes = random_below(3) + 1; changes > 0; --changes) {
      mutated[random_below(mutated.size())] = alphabet[random_below(alphabet.size())];
    }
    try {
      const HfTokenizer tokenizer(parse_json(mutated, "FILE"), "FILE");
      const Ids ids = tokenizer.encode("abc \u20ac<s>cab", SpecialTokens::kAdd);
      tokenizer.decode(ids);
      ++opened;
    } catch (const Error&) {
    }
  }
  EXPECT_GT(opened, 100);
  EXPECT_LT(opened, 4900);
}

TEST(SentencePieceTokenizer, MutatedFilesAreErrorsOrTokenizers) {
  const fs::path path = fs::path(SLUICE_SHARED_DIR) / "data/weights/stories260K/tokenizer.model";
  if (!fs::exists(path)) GTEST_SKIP() << "no " << path << ": the shared reference data are not here";
  const std::string whole = read_file(path);
  const ScratchFolder scratch;
  unsigned state = 5;
  const auto random_below = [&](std::size_t limit) {
    state = state * 1664525U + 1013904223U;
    return static_cast<std::size_t>(state >> 8) % limit;
  };
  for (int i = 0; i < 300; ++i) {
    std::string mutated = whole;
    if (i % 3 == 0) mutated.resize(random_below(mutated.size()));
    for (std::size_t changes = random_below(4); changes > 0 && !mutated.empty(); --changes) {
      mutated[random_below(mutated.size())] = static_cast<char>(random_below(256));
    }
    const fs::path copy = scratch.path() / "tokenizer.model";
    std::ofstream(copy, std::ios::binary) << mutated;
    try {
      const auto tokenizer = open_tokenizer(copy);
      tokenizer->decode(tokenizer->encode("Once upon a time \u20ac", SpecialTokens::kAdd));
    } catch (const Error&) {
    }
  }
}

TEST(HfTokenizer, ManyThreadsShareOne) {
  const HfTokenizer tokenizer(small_tokenizer(), "test");
  const Ids expected = tokenizer.encode("abc<s>ab\u20ac", SpecialTokens::kAdd);
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 200; ++j) {
        const Ids ids = tokenizer.encode("abc<s>ab\u20ac", SpecialTokens::kAdd);
        if (ids != expected || tokenizer.decode(ids) != "<s>abc<s>ab\u20ac") ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(OpenTokenizer, TakesTheFirstOfTheNamesInAFolder) {
  const ScratchFolder scratch;
  EXPECT_PRED2(has, error_of_opening(scratch.path()), "has no tokenizer.json");
  EXPECT_PRED2(has, error_of_opening(scratch.path() / "missing"), "there is no tokenizer at");
  write_file_atomic(scratch.path() / "tokenizer.model", "not a model");
  EXPECT_PRED2(has, error_of_opening(scratch.path()), "is not a SentencePiece model");
  write_file_atomic(scratch.path() / "tekken_240911.json.gz", "{}");
  EXPECT_PRED2(has, error_of_opening(scratch.path()), "tekken_240911.json.gz lacks \"config\"");
  write_file_atomic(scratch.path() / "tokenizer.json", dump_json(small_tokenizer()));
  EXPECT_EQ(open_tokenizer(scratch.path())->vocab_size(), 10);
  write_file_atomic(scratch.path() / "tokenizer.txt", "x");
  EXPECT_PRED2(has, error_of_opening(scratch.path() / "tokenizer.txt"), "is not named like a tokenizer");
  write_file_atomic(scratch.path() / "tokenizer.json", "{\"model\": {");
  EXPECT_PRED2(has, error_of_opening(scratch.path()), "not valid JSON");
  write_file_atomic(scratch.path() / "cut.json.gz", "\x1f\x8b\x08");
  EXPECT_PRED2(has, error_of_opening(scratch.path() / "cut.json.gz"), "fix: ");
}

TEST(OpenTokenizer, ReadsTheRolesOfSpecialTokens) {
  const ScratchFolder scratch;
  write_file_atomic(scratch.path() / "tokenizer.json", dump_json(small_tokenizer()));
  EXPECT_EQ(open_tokenizer(scratch.path())->eos_id(), std::nullopt);
  write_file_atomic(scratch.path() / "special_tokens_map.json", R"({"bos_token": "a", "eos_token": "a", "pad_token": "c"})");
  write_file_atomic(scratch.path() / "tokenizer_config.json", R"({"bos_token": {"content": "<s>"}, "eos_token": null})");
  const auto tokenizer = open_tokenizer(scratch.path());
  EXPECT_EQ(tokenizer->bos_id(), 5);
  EXPECT_EQ(tokenizer->eos_id(), std::nullopt);  // the config's null counts
  EXPECT_EQ(tokenizer->pad_id(), 2);
  write_file_atomic(scratch.path() / "tokenizer_config.json", R"({"pad_token": "[PAD]"})");
  EXPECT_PRED2(has, error_of_opening(scratch.path()), "[PAD]");
}

TEST(OpenTokenizer, ListsTheFilesThatGoWithAModel) {
  const ScratchFolder scratch;
  for (const char* name : {"tokenizer.json", "vocab.json", "tekken.json", "config.json", "model.safetensors", "chat_template.jinja"}) {
    write_file_atomic(scratch.path() / name, "{}");
  }
  EXPECT_EQ(tokenizer_files(scratch.path()), (std::vector<fs::path>{scratch.path() / "chat_template.jinja", scratch.path() / "tekken.json",
                                                                    scratch.path() / "tokenizer.json", scratch.path() / "vocab.json"}));
}

TEST(StreamDecoder, HoldsBytesBackUntilTheCharacterIsWhole) {
  const HfTokenizer tokenizer(small_tokenizer(), "test");
  StreamDecoder stream(tokenizer);
  EXPECT_EQ(stream.push(0), "a");
  EXPECT_EQ(stream.push(7), "");
  EXPECT_EQ(stream.push(8), "");
  EXPECT_EQ(stream.push(9), "\u20ac");
  EXPECT_EQ(stream.push(7), "");
  EXPECT_EQ(stream.flush(), "\uFFFD");
  EXPECT_EQ(stream.push(3), "ab");  // a new text
}

TEST(StreamDecoder, GoesOnAfterBytesThatAreNoCharacter) {
  const HfTokenizer tokenizer(small_tokenizer(), "test");
  StreamDecoder stream(tokenizer);
  std::string text;
  for (int i = 0; i < 1000; ++i) text += stream.push(9);
  text += stream.push(0);
  text += stream.flush();
  EXPECT_EQ(find_invalid_utf8(text), std::string::npos);
  EXPECT_TRUE(text.ends_with("a"));
  EXPECT_EQ(text.size(), 1000 * 3 + 1U);
}

TEST(Utf8, MendsMaximalInvalidParts) {  // Unicode 15, section 3.9, table 3-8
  EXPECT_EQ(to_valid_utf8("a\xf1\x80\x80\xe1\x80\xc2\x62\x80\x63\x80\xbf\x64"),
            "a\uFFFD\uFFFD\uFFFD"
            "b\uFFFD"
            "c\uFFFD\uFFFD"
            "d");
  EXPECT_EQ(to_valid_utf8("\xed\xa0\x80"), "\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(to_valid_utf8("\xe2\x82"), "\uFFFD");
}

}  // namespace
}  // namespace sluice::text
