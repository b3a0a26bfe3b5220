// Tekken files made by hand, and broken ones.
#include "sluice/text/tekken_tokenizer.h"

#include <gtest/gtest.h>

#include "sluice/base/error.h"
#include "sluice/text/base64.h"
#include "sluice/text/stream_decoder.h"
#include "sluice/text/utf8.h"

namespace sluice::text {
namespace {

using Ids = std::vector<std::int32_t>;

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::string to_base64(std::string_view bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    unsigned bits = 0;
    for (std::size_t i = 0; i < 3; ++i) bits = bits << 8 | (at + i < bytes.size() ? static_cast<unsigned char>(bytes[at + i]) : 0U);
    for (std::size_t i = 0; i < 4; ++i) out += at + i > bytes.size() ? '=' : kDigits[bits >> (18 - 6 * i) & 63];
  }
  return out;
}

// The 256 bytes, then "bc" 256, "ab" 257, "cd" 258, "abcd" 259 and the first two bytes of the euro sign 260; 8 special tokens.
Json small_tekken() {
  Json vocab = Json::array();
  const auto add = [&](const std::string& bytes) {
    vocab.push_back({{"rank", vocab.size()}, {"token_bytes", to_base64(bytes)}, {"token_str", nullptr}});
  };
  for (int byte = 0; byte < 256; ++byte) add(std::string(1, static_cast<char>(byte)));
  for (const char* bytes : {"bc", "ab", "cd", "abcd", "\xe2\x82", "left out"}) add(bytes);
  const Json special = {{{"rank", 0}, {"token_str", "<unk>"}, {"is_control", true}},
                        {{"rank", 1}, {"token_str", "<s>"}, {"is_control", true}},
                        {{"rank", 2}, {"token_str", "</s>"}, {"is_control", true}}};
  return {{"config", {{"pattern", " ?[^ ]+"}, {"default_vocab_size", 8 + 261}, {"default_num_special_tokens", 8}, {"version", "v11"}}},
          {"special_tokens", special},
          {"vocab", vocab}};
}

Ids bytes_and(const std::string& bytes) {  // the ids of single bytes
  Ids ids;
  for (const char byte : bytes) ids.push_back(8 + static_cast<unsigned char>(byte));
  return ids;
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

TEST(Tekken, JoinsTheBytesOfLowestRankFirst) {
  const TekkenTokenizer tokenizer(small_tekken(), "FILE");
  EXPECT_EQ(tokenizer.encode("abc", SpecialTokens::kNone), (Ids{8 + 'a', 8 + 256}));  // "bc" before "ab"
  EXPECT_EQ(tokenizer.encode("abcd", SpecialTokens::kNone), (Ids{8 + 259}));          // whole, though its merges would not make it
  EXPECT_EQ(tokenizer.encode("abcdx", SpecialTokens::kNone), (Ids{8 + 'a', 8 + 256, 8 + 'd', 8 + 'x'}));
  EXPECT_EQ(tokenizer.encode("\u20ac", SpecialTokens::kAdd), (Ids{1, 8 + 260, 8 + 0xAC}));
  EXPECT_EQ(tokenizer.encode("<s>", SpecialTokens::kNone), bytes_and("<s>"));  // plain text
  EXPECT_EQ(tokenizer.encode("a   ", SpecialTokens::kNone), bytes_and("a"));   // what the pattern leaves out is dropped
  EXPECT_EQ(tokenizer.encode("", SpecialTokens::kAdd), (Ids{1}));
  EXPECT_EQ(tokenizer.vocab_size(), 8 + 261);
}

TEST(Tekken, NamesSpecialTokensAndFillers) {
  const TekkenTokenizer tokenizer(small_tekken(), "FILE");
  EXPECT_EQ(tokenizer.bos_id(), 1);
  EXPECT_EQ(tokenizer.eos_id(), 2);
  EXPECT_EQ(tokenizer.pad_id(), std::nullopt);
  EXPECT_EQ(tokenizer.token(7), "<SPECIAL_7>");
  EXPECT_EQ(tokenizer.token_id("<SPECIAL_3>"), 3);
  EXPECT_EQ(tokenizer.token(8 + 257), "ab");
  EXPECT_EQ(tokenizer.token_id("ab"), 8 + 257);
  EXPECT_EQ(tokenizer.token_id("left out"), std::nullopt);  // beyond the vocabulary's size
  EXPECT_EQ(tokenizer.token(8 + 261), "");
  EXPECT_EQ(tokenizer.token(-1), "");
}

TEST(Tekken, DecodesBytesToCharactersAndMayLeaveSpecialTokensOut) {
  const TekkenTokenizer tokenizer(small_tekken(), "FILE");
  const Ids ids = {1, 8 + 260, 8 + 0xAC, 8 + 260, 2, 8 + 0xAC, 9999, -1};
  EXPECT_EQ(tokenizer.decode(ids), "<s>\u20ac\uFFFD</s>\uFFFD");
  EXPECT_EQ(tokenizer.decode(ids, DecodeSpecial::kSkip), "\u20ac\uFFFD\uFFFD");
  StreamDecoder stream(tokenizer);
  EXPECT_EQ(stream.push(8 + 260), "");
  EXPECT_EQ(stream.push(8 + 0xAC), "\u20ac");
}

TEST(Tekken, OldFilesMeanTheOldSpecialTokens) {
  Json json = small_tekken();
  json["special_tokens"] = nullptr;
  EXPECT_PRED2(has, error_of([&] { TekkenTokenizer(json, "FILE"); }), "lacks special_tokens");
  json["config"].update({{"version", "v3"}, {"default_num_special_tokens", 30}, {"default_vocab_size", 30 + 261}});
  const TekkenTokenizer tokenizer(json, "FILE");
  EXPECT_EQ(tokenizer.token_id("[INST]"), 3);
  EXPECT_EQ(tokenizer.pad_id(), 11);
  EXPECT_EQ(tokenizer.token(20), "<SPECIAL_20>");
}

TEST(Tekken, RefusesFilesThatAreNotWhole) {
  struct Hostile {
    const char *patch, *error;
  };
  const Hostile cases[] = {
      {R"({"config": 3})", "must be a JSON object"},
      {R"({"config": {"pattern": "("}})", "cannot be compiled"},
      {R"({"config": {"default_vocab_size": 100}})", "leave room for 256 bytes"},
      {R"({"config": {"default_vocab_size": 9223372036854775807}})", "must be at most"},
      {R"({"config": {"default_num_special_tokens": -1}})", "leave room"},
      {R"({"config": {"default_num_special_tokens": 2, "default_vocab_size": 263}})", "3 special tokens, more than"},
      {R"({"config": {"default_vocab_size": 1000}})", "at least 992 tokens"},
      {R"({"special_tokens": [{"rank": 1, "token_str": "<s>"}]})", "has the rank 1, not 0"},
      {R"({"special_tokens": [{"rank": 0, "token_str": "<s>"}, {"rank": 1, "token_str": "<s>"}]})", "twice"},
      {R"({"special_tokens": []})", "lacks the special token <s> or </s>"},
      {R"({"vocab": {}})", "not an array"},
  };
  for (const Hostile& hostile : cases) {
    Json json = small_tekken();
    json.merge_patch(parse_json(hostile.patch, "test"));
    EXPECT_PRED2(has, error_of([&] { TekkenTokenizer(json, "FILE"); }), hostile.error) << hostile.patch;
  }
  const auto with_row = [](std::size_t rank, const char* bytes) {
    Json json = small_tekken();
    json["vocab"][rank]["token_bytes"] = bytes;
    return error_of([&] { TekkenTokenizer(json, "FILE"); });
  };
  EXPECT_PRED2(has, with_row(257, "YmM"), "FILE: vocab[257] has token_bytes that are not base64");
  EXPECT_PRED2(has, with_row(257, ""), "at least one byte");
  EXPECT_PRED2(has, with_row(257, "YmM="), "the bytes of rank 256 again");
  EXPECT_PRED2(has, with_row(7, "CA=="), "is not the byte of its rank");
}

TEST(Tekken, MutatedFilesAreErrorsOrTokenizers) {
  const std::string whole = dump_json(small_tekken());
  const std::string alphabet = "\"[]{}:,0123456789-.abc=<>\\ux\xe2\xff";
  unsigned state = 3;
  const auto random_below = [&](std::size_t limit) {
    state = state * 1664525U + 1013904223U;
    return static_cast<std::size_t>(state >> 8) % limit;
  };
  int opened = 0;
  for (int i = 0; i < 1000; ++i) {
    std::string mutated = whole;
    if (i % 5 == 0) mutated.resize(random_below(mutated.size()));
    for (std::size_t changes = random_below(3); changes > 0; --changes) {
      mutated[random_below(mutated.size())] = alphabet[random_below(alphabet.size())];
    }
    try {
      const TekkenTokenizer tokenizer(parse_json(mutated, "FILE"), "FILE");
      const std::string text = tokenizer.decode(tokenizer.encode("abcd \u20ac<s>", SpecialTokens::kAdd));
      EXPECT_EQ(find_invalid_utf8(text), std::string::npos);
      ++opened;
    } catch (const Error&) {
    }
  }
  EXPECT_GT(opened, 50);
  EXPECT_LT(opened, 950);
}

TEST(Base64, ReadsTheExamplesOfItsStandard) {  // RFC 4648, section 10
  EXPECT_EQ(base64_bytes(""), "");
  EXPECT_EQ(base64_bytes("Zg=="), "f");
  EXPECT_EQ(base64_bytes("Zm8="), "fo");
  EXPECT_EQ(base64_bytes("Zm9vYmFy"), "foobar");
  EXPECT_EQ(base64_bytes("+/+/"), "\xfb\xff\xbf");
  for (const char* broken : {"Zg=", "Zg", "Z===", "Zh==", "Z g=", "Zm9v=AAA", "===="})
    EXPECT_EQ(base64_bytes(broken), std::nullopt) << broken;
}

}  // namespace
}  // namespace sluice::text
