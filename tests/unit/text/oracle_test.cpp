// Against HF's `tokenizers`, live.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "sluice/text/hf_tokenizer.h"
#include "sluice/text/regex.h"
#include "sluice/text/stream_decoder.h"
#include "sluice/text/unicode.h"
#include "sluice/text/utf8.h"
#include "tests/unit/text/oracle.h"

namespace sluice::text {
namespace {

TEST(Unicode, NormalFormsCaseAndMarksAreThoseOfHf) {
  SLUICE_NEEDS_ORACLE();
  const std::vector<Json> rows = oracle_rows("unicode");
  ASSERT_GT(rows.size(), 20'000U);
  int wrong = 0;
  for (const Json& row : rows) {
    const auto text = row["text"].get<std::string>();
    const Json got = {{"text", text},
                      {"nfc", to_nfc(text)},
                      {"nfd", to_nfd(text)},
                      {"nfkc", to_nfkc(text)},
                      {"nfkd", to_nfkd(text)},
                      {"lower", to_lower(text)},
                      {"strip_accents", without(text, is_mark)}};
    if (got != row && ++wrong <= 5) ADD_FAILURE() << dump_json(row) << "\n got " << dump_json(got);
  }
  EXPECT_EQ(wrong, 0);
}

TEST(Regex, ClassesHoldTheCodePointsThatHfMatches) {
  SLUICE_NEEDS_ORACLE();
  const std::vector<Json> rows = oracle_rows("classes");
  ASSERT_GT(rows.size(), 90U);
  std::string text;  // the code points that the oracle looks at
  for (char32_t code = 0; code < 0x110000; ++code) {
    if ((code < 0xD800 || code > 0xDFFF) && (code < 0x40000 || code >= 0xE0000)) append_utf8(text, code);
  }
  for (const Json& row : rows) {
    std::vector<std::array<char32_t, 2>> found;
    const Regex pattern(row["class"].get<std::string>(), "test");
    pattern.for_each_match(text, [&](Regex::Match match) {
      const char32_t code = utf8_at(text, match.begin).code;
      if (found.empty() || found.back()[1] + 1 != code) found.push_back({code, code});
      found.back()[1] = code;
    });
    const auto expected = row["ranges"].get<std::vector<std::array<std::uint32_t, 2>>>();
    const auto equal = [](const auto& a, const auto& b) { return a[0] == b[0] && a[1] == b[1]; };
    const auto [ours, theirs] = std::mismatch(found.begin(), found.end(), expected.begin(), expected.end(), equal);
    EXPECT_TRUE(ours == found.end() && theirs == expected.end())
        << row["class"] << " first differs near U+" << std::hex << (theirs == expected.end() ? (*ours)[0] : (*theirs)[0]);
  }
}

std::string streamed(const Tokenizer& tokenizer, const std::vector<std::int32_t>& ids) {
  StreamDecoder stream(tokenizer);
  std::string text;
  for (const std::int32_t id : ids) text += stream.push(id);
  return text + stream.flush();
}

TEST(HfTokenizer, EveryComponentGivesTheIdsAndTextOfHf) {
  SLUICE_NEEDS_ORACLE();
  const std::vector<Json> rows = oracle_rows("components");
  ASSERT_GT(rows.size(), 300U);
  int wrong = 0;
  for (const Json& row : rows) {
    const HfTokenizer tokenizer(row["tokenizer"], "made up");
    for (const Json& expected : row["cases"]) {
      const auto text = expected["text"].get<std::string>();
      const auto ids = tokenizer.encode(text, SpecialTokens::kNone), special = tokenizer.encode(text, SpecialTokens::kAdd);
      Json got = {{"text", text}, {"ids", ids}, {"with_special", special}};
      got["decoded"] = tokenizer.decode(ids);
      EXPECT_EQ(streamed(tokenizer, ids), got["decoded"]) << dump_json(row["tokenizer"]["decoder"]) << dump_json(Json(ids));
      got["without_special"] = tokenizer.decode(special, DecodeSpecial::kSkip);
      if (got == expected || ++wrong > 8) continue;
      Json spec = row["tokenizer"];
      spec["model"].erase("vocab");
      spec["model"].erase("merges");
      ADD_FAILURE() << dump_json(spec) << "\n expected " << dump_json(expected) << "\n got      " << dump_json(got);
    }
  }
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace sluice::text
