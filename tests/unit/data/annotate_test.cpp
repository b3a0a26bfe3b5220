#include "sluice/data/annotate.h"

#include "sluice/base/error.h"
#include "sluice/base/json.h"
#include "sluice/data/annotate_rules.h"
#include "tests/unit/data/scratch_rows.h"

namespace sluice::data {
namespace {

const fs::path kShippedModel = fs::path(SLUICE_SOURCE_DIR) / "data/question_classifier/model.bin";

AnnotateRequest by_rules(const ScratchRows& file) {
  return {.input = file.path(),
          .output = file.beside("out.jsonl"),
          .method = AnnotateMethod::kRules,
          .existing = ExistingLabels::kReplace,
          .model_file = {}};
}
AnnotateRequest by_model(const ScratchRows& file) {
  return {.input = file.path(),
          .output = file.beside("out.jsonl"),
          .method = AnnotateMethod::kModel,
          .existing = ExistingLabels::kReplace,
          .model_file = kShippedModel};
}

TEST(Annotate, ChangesNothingOfARowButItsLabelAndReason) {
  const ScratchRows file(R"({"id": 7, "question": "who wrote hamlet", "answer": ["a", {"x": [1.50, "\u00e9"]}]}
{"expert_label":"numerical_reasoning","question":"who wrote hamlet","z":1e5}
{"expert_label_reason": "old", "question": "who wrote hamlet", "expert_label": null}
{"question": "who wrote hamlet"}
)");
  annotate(by_rules(file));
  EXPECT_EQ(
      lines_of(file.beside("out.jsonl")),
      (std::vector<std::string>{
          R"({"id": 7, "question": "who wrote hamlet", "answer": ["a", {"x": [1.50, "\u00e9"]}], "expert_label": "factual_lookup", "expert_label_reason": "plain_question: who"})",
          R"({"expert_label":"factual_lookup","question":"who wrote hamlet","z":1e5,"expert_label_reason":"plain_question: who"})",
          R"({"expert_label_reason": "plain_question: who", "question": "who wrote hamlet", "expert_label": "factual_lookup"})",
          R"({"question": "who wrote hamlet", "expert_label": "factual_lookup", "expert_label_reason": "plain_question: who"})"}));
}

TEST(Annotate, TakesOutAReasonThatTheModelDidNotGive) {
  const ScratchRows file(R"({"expert_label_reason": "x", "question": "who wrote hamlet"}
{"question": "who wrote hamlet", "expert_label_reason": "x", "expert_label": "factual_lookup", "n": 1}
{"question": "who wrote hamlet", "expert_label_reason": "x"}
)");
  annotate(by_model(file));
  EXPECT_EQ(lines_of(file.beside("out.jsonl")),
            (std::vector<std::string>{R"({"question": "who wrote hamlet", "expert_label": "factual_lookup"})",
                                      R"({"question": "who wrote hamlet", "expert_label": "factual_lookup", "n": 1})",
                                      R"({"question": "who wrote hamlet", "expert_label": "factual_lookup"})"}));
}

TEST(Annotate, KeepsOrderCountAndLabelsWhereAsked) {
  std::string rows;
  for (int i = 0; i < 100; ++i) {
    rows += "{\"question\": \"what is " + std::to_string(i) + " plus 2 times 3\"" +
            (i % 3 == 0 ? ", \"expert_label\": \"commonsense_reasoning\"" : "") + "}\n";
  }
  const ScratchRows file(rows);
  AnnotateRequest request = by_model(file);
  request.existing = ExistingLabels::kKeep;
  const AnnotateSummary summary = annotate(request);
  EXPECT_EQ(summary.num_rows, 100);
  EXPECT_EQ(summary.num_kept, 34);
  EXPECT_EQ(summary.labels, (std::array<std::int64_t, 4>{0, 66, 0, 34}));
  const auto out = lines_of(file.beside("out.jsonl"));
  ASSERT_EQ(out.size(), 100u);
  for (int i = 0; i < 100; ++i) {
    EXPECT_NE(out[static_cast<std::size_t>(i)].find("what is " + std::to_string(i) + " plus"), std::string::npos);
  }
}

TEST(Annotate, WritesOverItsOwnInputWhole) {
  const ScratchRows file("{\"question\": \"why would you sleep\"}\n");
  AnnotateRequest request = by_rules(file);
  request.output = request.input;
  annotate(request);
  EXPECT_EQ(lines_of(file.path()).size(), 1u);
  EXPECT_NE(lines_of(file.path())[0].find("commonsense_reasoning"), std::string::npos);
}

TEST(Annotate, LeavesTheOldOutputAndNoTemporaryAfterABadRow) {
  const ScratchRows file("{\"question\": \"who\"}\n{\"question\": \"broken\n");
  write_file_atomic(file.beside("out.jsonl"), "old");
  EXPECT_THROW(annotate(by_rules(file)), Error);
  EXPECT_EQ(read_file(file.beside("out.jsonl")), "old");
  EXPECT_EQ(file.files(), (std::vector<std::string>{"input.jsonl", "out.jsonl"}));
}

TEST(Annotate, RefusesEmptyInputsAndMissingFolders) {
  const ScratchRows empty("\n\n");
  EXPECT_THROW(annotate(by_rules(empty)), Error);
  const ScratchRows file("{\"question\": \"who\"}\n");
  AnnotateRequest request = by_rules(file);
  request.output = file.beside("nowhere") / "out.jsonl";
  EXPECT_THROW(annotate(request), Error);
  request = by_rules(file);
  request.input = file.beside("missing.jsonl");
  EXPECT_THROW(annotate(request), Error);
}

int category_by_rules(const std::string& question) {
  QuestionWords words;
  words.assign(question);
  return apply_rules(words).category;
}

TEST(Rules, LabelPlainExamplesOfEachCategory) {
  EXPECT_EQ(category_by_rules("who sang the first song"), 0);
  EXPECT_EQ(category_by_rules("When did the Berlin Wall fall?"), 0);
  EXPECT_EQ(category_by_rules("Tom has 3 apples and buys 4 more. How many apples does he have?"), 1);
  EXPECT_EQ(category_by_rules("What is 15 percent of 80?"), 1);
  EXPECT_EQ(category_by_rules("Who was born first, Ada Lovelace or Alan Turing?"), 2);
  EXPECT_EQ(category_by_rules("Who is the mother of the director of film Polish-Russian War?"), 2);
  EXPECT_EQ(category_by_rules("Why do people carry an umbrella?"), 3);
  EXPECT_EQ(category_by_rules("What would you do if it started to rain?"), 3);
  // The examples of the supervised-routing script's documentation.
  EXPECT_EQ(category_by_rules("what is the capital of france"), 0);
  EXPECT_EQ(category_by_rules("how many states in usa"), 1);
  EXPECT_EQ(category_by_rules("who has more oscars meryl or katharine"), 2);
  EXPECT_EQ(category_by_rules("why do we have seasons"), 3);
}

TEST(Rules, SayWhichWordsTheyMatched) {
  QuestionWords words;
  words.assign("If 3 pens cost $6, how much do 7 pens cost?");
  const RuleMatch match = apply_rules(words);
  EXPECT_EQ(match.rule, "arithmetic_story");
  EXPECT_EQ(match.words, "how much, 3 numbers");
}

}  // namespace
}  // namespace sluice::data
