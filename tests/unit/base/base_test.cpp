#include <gtest/gtest.h>

#include <cstring>

#include "sluice/base/crc32c.h"
#include "sluice/base/error.h"
#include "sluice/base/file.h"
#include "sluice/base/json.h"
#include "sluice/base/nearest.h"
#include "sluice/base/rng.h"

namespace sluice {
namespace {

TEST(Crc32c, EqualsThePublishedCheckValue) {  // RFC 3720, B.4: "123456789" and 32 zero bytes
  const std::string digits = "123456789", zeros(32, '\0');
  EXPECT_EQ(crc32c(std::as_bytes(std::span(digits))), 0xE3069283u);
  EXPECT_EQ(crc32c(std::as_bytes(std::span(zeros))), 0x8A9136AAu);
  const auto bytes = std::as_bytes(std::span(digits));
  EXPECT_EQ(crc32c(bytes.subspan(4), crc32c(bytes.first(4))), 0xE3069283u);
}

TEST(Philox, EqualsThePublishedTestVectors) {  // Random123, kat_vectors: philox4x32 10 rounds
  EXPECT_EQ(philox(0, 0, 0), (std::array<std::uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox(~0ull, ~0ull, ~0ull), (std::array<std::uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
}

TEST(Rng, ARestoredPositionGoesOnWithTheSameNumbers) {
  Rng rng(7, 3);
  for (int i = 0; i < 5; ++i) rng.normal();
  Rng again(7, 3);
  again.set_position(rng.position());
  EXPECT_EQ(rng.next(), again.next());
}

TEST(Json, AKeyThatIsGivenTwiceHasItsLastValueAsInPython) {
  EXPECT_EQ(parse_json(R"({"a": 1, "b": 2, "a": 3})", "here")["a"], 3);
  EXPECT_EQ(dump_json(parse_ordered_json(R"({"a": 1, "b": 2, "a": 3})", "here")), R"({"a":3,"b":2})");
}

TEST(LineReader, KnowsItsPlaceAndCanGoBackToIt) {
  const fs::path path = fs::temp_directory_path() / "sluice_lines_test.txt";
  write_file_atomic(path, "one\r\ntwo\n\nfour");
  LineReader reader(path);
  std::string line;
  ASSERT_TRUE(reader.next(line) && line == "one");
  const auto offset = reader.offset(), number = reader.number();
  ASSERT_TRUE(reader.next(line) && reader.next(line) && reader.next(line));
  EXPECT_EQ(line, "four");
  EXPECT_TRUE(reader.where().ends_with("sluice_lines_test.txt:4"));
  EXPECT_FALSE(reader.next(line));
  reader.seek(offset, number);
  ASSERT_TRUE(reader.next(line));
  EXPECT_EQ(line, "two");
  fs::remove(path);
}

TEST(Json, ErrorsNameThePlaceAndOutputIsAscii) {
  EXPECT_THROW(parse_json("{", "x.jsonl:3"), Error);
  try {
    parse_json("{", "x.jsonl:3");
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()).rfind("x.jsonl:3", 0), 0u);
  }
  EXPECT_EQ(dump_json(Json("\xC3\xA9")), "\"\\u00e9\"");
}

TEST(Nearest, PicksTheSmallestEditDistance) {
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(nearest("lerning_rate", {"lr", "learning_rate", "min_lr"}), "learning_rate");
  EXPECT_EQ(join_or({"1", "2", "4"}), "1, 2 or 4");
}

TEST(Nearest, TwoNeighboursSwappedAreOneSlip) {
  EXPECT_EQ(edit_distance("iters", "itres"), 1u);
  EXPECT_EQ(edit_distance("ab", "ba"), 1u);
  EXPECT_EQ(edit_distance("ca", "abc"), 3u);  // 2 only where letters may change between the two that are swapped
}

TEST(Nearest, SuggestsNothingWhereNothingIsNear) {
  const std::vector<std::string> names{"train", "tokenize", "--model", "--batch-size"};
  EXPECT_EQ(did_you_mean("tarin", names, "'"), "did you mean 'train'? ");
  EXPECT_EQ(did_you_mean("--modle", names), "did you mean --model? ");
  EXPECT_EQ(did_you_mean("token", names), "did you mean tokenize? ");
  for (const char* far : {"foo", "nope", "xyz", "--nonsense"}) EXPECT_EQ(did_you_mean(far, names), "") << far;
}

TEST(Check, AFailedInvariantCarriesItsStack) {
  try {
    SLUICE_CHECK(1 == 2, "numbers broke");
    FAIL();
  } catch (const Bug& bug) {
    EXPECT_FALSE(bug.stack().empty());
  }
}

}  // namespace
}  // namespace sluice
