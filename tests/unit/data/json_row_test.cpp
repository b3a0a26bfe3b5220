#include "sluice/data/json_row.h"

#include <gtest/gtest.h>

#include "sluice/base/error.h"
#include "sluice/base/json.h"
#include "sluice/base/rng.h"
#include "sluice/data/json_scanner.h"
#include "tests/unit/data/scratch_rows.h"

namespace sluice::data {
namespace {

bool scans(const std::string& text) {
  JsonScanner scanner(text);
  scanner.skip_space();
  const bool well_formed = scanner.skip_value();
  scanner.skip_space();
  return well_formed && scanner.at_end();
}

TEST(JsonScanner, AgreesWithNlohmannOnBrokenAndWholeTexts) {
  const std::vector<std::string> seeds = {
      R"({"question": "who?", "answer": ["a", "b"], "n": [-0.5e+3, 0, 10], "x": null, "y": {"z": true}})",
      "{\"q\":\"caf\xC3\xA9 \xE2\x80\x94 \xF0\x9F\x98\x80 \\u00e9\\ud83d\\ude00\\n\"}", R"([])", R"( {"a" : { } , "b":[ ] } )",
      R"([1.5,-2,3E-7,false])"};
  const std::string alphabet = "{}[]\",:\\u0dDfFeE+-.19tn \xC3\xA9\xED\xF4\x80\x01";
  Rng rng(1, 1);
  int accepted = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string text = seeds[rng.below(seeds.size())];
    for (std::uint64_t edits = rng.below(4); edits > 0; --edits) {
      const std::size_t at = rng.below(text.size());
      const char c = alphabet[rng.below(alphabet.size())];
      switch (rng.below(3)) {
        case 0:
          text[at] = c;
          break;
        case 1:
          text.insert(at, 1, c);
          break;
        default:
          text.erase(at, 1);
      }
      if (text.empty()) text = " ";
    }
    ASSERT_EQ(scans(text), Json::accept(text)) << text;
    accepted += scans(text);
  }
  EXPECT_GT(accepted, 4000);
  EXPECT_LT(accepted, 16000);
}

TEST(JsonScanner, RefusesHostileNestingInsteadOfExhaustingTheStack) {
  EXPECT_FALSE(scans(std::string(1000000, '[')));
  EXPECT_FALSE(scans(std::string(1000, '[') + std::string(1000, ']')));
  EXPECT_TRUE(scans(std::string(500, '[') + std::string(500, ']')));
}

TEST(DecodeString, AgreesWithNlohmann) {
  for (const std::string text :
       {R"("plain")", R"("")", R"("a\"b\\c\/d\b\f\n\r\t")", R"("\u0041\u00e9\u20ac\ud83d\ude00")", R"("caf\u00E9 end")"}) {
    std::string decoded;
    ASSERT_TRUE(decode_string(text, decoded));
    EXPECT_EQ(decoded, Json::parse(text).get<std::string>()) << text;
  }
  std::string decoded;
  EXPECT_FALSE(decode_string("3", decoded));
  EXPECT_FALSE(decode_string("null", decoded));
}

TEST(JsonRows, PassesOverBlankLinesAndKnowsWhereEachRowIs) {
  const ScratchRows file("\xEF\xBB\xBF{\"a\":1}\r\n\n  \n{\"a\":2}\n{\"a\":3}");
  JsonRows rows(file.path());
  std::vector<std::string> places;
  while (rows.next()) {
    places.push_back(std::to_string(rows.offset()) + " " + rows.where().substr(file.path().string().size()) + " " +
                     std::string(rows.row().find("a")->value));
  }
  EXPECT_EQ(places, (std::vector<std::string>{"3 :1 1", "16 :4 2", "24 :5 3"}));
}

// What an Error says about the second of two rows.
std::string complaint(const std::string& line, void (*read)(JsonRows&)) {
  const ScratchRows file("{\"question\": \"fine\"}\n" + line + "\n");
  JsonRows rows(file.path());
  rows.next();
  try {
    rows.next();
    read(rows);
  } catch (const Error& error) {
    const std::string what = error.what();
    EXPECT_NE(what.find(file.path().string() + ":2: "), std::string::npos) << what;
    EXPECT_NE(what.find("fix: "), std::string::npos) << what;
    return what;
  }
  return "";
}

void read_nothing(JsonRows&) {}
void read_question(JsonRows& rows) {
  std::string text;
  rows.question(text);
}
void read_category(JsonRows& rows) { rows.category(); }
void read_required(JsonRows& rows) { rows.require_category(); }
void read_answer(JsonRows& rows) {
  std::string text;
  rows.answer(text);
}

TEST(JsonRows, NamesFileAndLineOfEveryKindOfBadRow) {
  EXPECT_NE(complaint("{\"question\": ", read_nothing).find("not valid JSON"), std::string::npos);
  EXPECT_NE(complaint("not json", read_nothing).find("not valid JSON"), std::string::npos);
  EXPECT_NE(complaint("[1]", read_nothing).find("a JSON array, not an object"), std::string::npos);
  EXPECT_NE(complaint("{\"question\":\"a\",\"question\":\"b\"}", read_nothing).find("twice"), std::string::npos);
  EXPECT_NE(complaint("{\"x\":" + std::string(600, '[') + std::string(600, ']') + "}", read_nothing).find("nested"), std::string::npos);
  EXPECT_NE(complaint("{\"q\": \"a\"}", read_question).find("no \"question\""), std::string::npos);
  EXPECT_NE(complaint("{\"question\": 5}", read_question).find("is 5, not a string"), std::string::npos);
  EXPECT_NE(complaint("{\"question\": \" ?! \"}", read_question).find("no words"), std::string::npos);
  EXPECT_NE(complaint("{\"expert_label\": \"factual_lokup\"}", read_category).find("did you mean \"factual_lookup\""), std::string::npos);
  EXPECT_NE(complaint("{\"expert_label\": 4}", read_category).find("no category"), std::string::npos);
  EXPECT_NE(complaint("{\"expert_label\": null}", read_required).find("no \"expert_label\""), std::string::npos);
  EXPECT_NE(complaint("{\"answer\": 3}", read_answer).find("of no known form"), std::string::npos);
}

TEST(JsonRows, TakesLabelsByNameAndByIndex) {
  const ScratchRows file("{\"expert_label\":\"commonsense_reasoning\"}\n{\"expert_label\":2}\n{\"expert_label\":null}\n{}\n{\"expert_label\":1.0}\n{\"expert_label\":\"0\"}\n");
  JsonRows rows(file.path());
  std::vector<std::optional<int>> labels;
  while (rows.next()) labels.push_back(rows.category());
  EXPECT_EQ(labels, (std::vector<std::optional<int>>{3, 2, std::nullopt, std::nullopt, 1, 0}));
}

TEST(JsonRows, TakesTheFirstAnswerOfEachForm) {
  const ScratchRows file(R"({"answer":"a\u00e9"}
{"answer":["b","c"]}
{"answer":{"text":"d"}}
{"answer":{"text":["e"]}}
{"answer":[]}
{"answer":null}
{}
)");
  JsonRows rows(file.path());
  std::vector<std::string> answers;
  std::string text;
  while (rows.next()) answers.push_back(rows.answer(text) ? text : "(none)");
  EXPECT_EQ(answers, (std::vector<std::string>{"a\u00e9", "b", "d", "e", "(none)", "(none)", "(none)"}));
}

}  // namespace
}  // namespace sluice::data
