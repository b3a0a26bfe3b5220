#include "sluice/data/classifier.h"

#include <set>

#include "sluice/base/error.h"
#include "sluice/base/json.h"
#include "sluice/data/classifier_train.h"
#include "tests/unit/data/scratch_rows.h"

namespace sluice::data {
namespace {

const fs::path kShippedModel = fs::path(SLUICE_SOURCE_DIR) / "data/question_classifier/model.bin";
const fs::path kShared = SLUICE_SHARED_DIR;

std::vector<std::string> words_of(const std::string& question) {
  static QuestionWords words;
  words.assign(question);
  std::vector<std::string> out;
  for (const Word& word : words.words()) out.push_back(std::string(word.text) + "/" + std::to_string(static_cast<int>(word.kind)));
  return out;
}

TEST(QuestionWords, AreLowerCaseWithoutPunctuationAndWithNumbersByClass) {
  EXPECT_EQ(words_of("Don't pay $1,200.50 (5%) in 1999!"),
            (std::vector<std::string>{"don/0", "t/0", "pay/0", "1,200.50/1", "dollars/0", "5/1", "percent/0", "in/0", "1999/2"}));
  EXPECT_EQ(words_of("the 22nd iPhone 5s, caf\u00e9 \u201cx\u201d\u2014y"),
            (std::vector<std::string>{"the/0", "22nd/3", "iphone/0", "5s/4", "caf\u00e9/0", "x/0", "y/0"}));
  EXPECT_TRUE(words_of("?! ...").empty());
}

TEST(QuestionClassifier, DoesNotSeeCaseOrPunctuation) {
  const QuestionClassifier classifier = QuestionClassifier::load(kShippedModel);
  QuestionClassifier::Scratch scratch;
  for (const std::string question :
       {"Who is the mother of the director of the film Jaws?", "Which planet is closest to the Sun?", "Where would you put a wet towel?"}) {
    std::string plain;
    for (const char c : question) {
      if (c != '?') plain.push_back(static_cast<char>(std::tolower(c)));
    }
    EXPECT_EQ(classifier.classify(question, scratch), classifier.classify(plain, scratch)) << question;
  }
}

TEST(QuestionClassifier, LabelsEverydayExamplesOfEachCategory) {
  const QuestionClassifier classifier = QuestionClassifier::load(kShippedModel);
  QuestionClassifier::Scratch scratch;
  const std::vector<std::pair<const char*, int>> examples = {{"who wrote the declaration of independence", 0},
                                                             {"What is the capital of Australia?", 0},
                                                             {"A box holds 12 pencils. How many pencils are in 7 boxes?", 1},
                                                             {"If a shirt costs $20 and is sold at a 15% discount, what do you pay?", 1},
                                                             {"Were Isaac Newton and Johann Sebastian Bach born in the same country?", 2},
                                                             {"Where was the director of the film Casablanca born?", 2},
                                                             {"Where would you go if you want to buy fresh bread?", 3},
                                                             {"What happens to ice cream when you leave it in the sun?", 3}};
  for (const auto& [question, category] : examples) EXPECT_EQ(classifier.classify(question, scratch), category) << question;
}

// Rows of NAME with questions that the classifier set does not have.
std::vector<TrainingRow> unseen_rows(const fs::path& file, int category, const std::string& origin, const std::set<std::string>& seen) {
  std::vector<TrainingRow> rows;
  LineReader lines(file);
  std::string line;
  while (lines.next(line)) {
    const Json row = Json::parse(line);
    std::string question = row["question"].is_object() ? row["question"]["stem"].get<std::string>() : row["question"].get<std::string>();
    if (!seen.contains(question)) rows.push_back({std::move(question), category, origin, 1.0});
  }
  return rows;
}

TEST(QuestionClassifier, KeepsItsAccuracyOnUnseenQuestionsOfTheSameSources) {
  const fs::path data = kShared / "data";
  if (!fs::exists(data / "classifier/questions.train.jsonl")) GTEST_SKIP() << "the question sets are not beside this checkout";
  std::set<std::string> seen;
  for (const TrainingRow& row : read_training_rows(data / "classifier/questions.train.jsonl")) seen.insert(row.question);
  const QuestionClassifier classifier = QuestionClassifier::load(kShippedModel);
  // Weighted as the classifier set is: each category alike, NQ-open 60 % of the look-ups.
  const auto accuracy = [&](const char* file, int category) {
    const auto rows = unseen_rows(data / file, category, file, seen);
    const ClassifierTrainer::Score found = score(classifier, pointers(rows)).at(file);
    EXPECT_GT(found.total, 1000) << file;
    return static_cast<double>(found.correct) / static_cast<double>(found.total);
  };
  const double factual = 0.6 * accuracy("nq_open/NQ-open.train.subset.jsonl", 0) + 0.4 * accuracy("questions/triviaqa.dev.jsonl", 0);
  const double multi_hop =
      0.58 * accuracy("questions/hotpotqa.dev.jsonl", 2) + 0.42 * accuracy("questions/multihop_r1searcher.train.jsonl", 2);
  const double all = (factual + accuracy("gsm8k/train.jsonl", 1) + multi_hop + accuracy("questions/commonsenseqa.train.jsonl", 3)) / 4;
  EXPECT_GE(all, 0.915);
}

TEST(QuestionClassifier, KeepsItsAccuracyOnSourcesThatItNeverSaw) {
  std::vector<TrainingRow> bundled = read_training_rows(fs::path(SLUICE_SOURCE_DIR) / "data/questions/train.jsonl");
  const ClassifierTrainer::Score found = score(QuestionClassifier::load(kShippedModel), pointers(bundled)).begin()->second;
  EXPECT_GE(static_cast<double>(found.correct) / static_cast<double>(found.total), 0.8);
}

// A small training set whose categories differ in plain ways.
std::vector<TrainingRow> small_set() {
  std::vector<TrainingRow> rows;
  for (int i = 0; i < 60; ++i) {
    const std::string n = std::to_string(i + 2), origin = i % 2 == 0 ? "even" : "odd";
    rows.push_back({"who wrote book " + n, 0, origin, 1.0});
    rows.push_back({"how much is " + n + " plus " + n + " apples", 1, origin, 1.0});
    rows.push_back({"who was born first the author of " + n + " or the singer of " + n, 2, origin, 1.0});
    rows.push_back({"why would you sleep on day " + n, 3, origin, 1.0});
  }
  return rows;
}

TEST(ClassifierTrainer, LearnsASmallSetAndGivesTheSameBytesTwice) {
  const ScratchRows folder("");
  const ClassifierTraining settings{.vocabulary = {}};
  const ClassifierTrainer trainer(small_set(), settings);
  trainer.train().save(folder.beside("a.bin"));
  trainer.train().save(folder.beside("b.bin"));
  EXPECT_EQ(read_file(folder.beside("a.bin")), read_file(folder.beside("b.bin")));
  for (const auto& scores : {trainer.score_held_out(0.2), trainer.score_leaving_origins_out(),
                             score(QuestionClassifier::load(folder.beside("a.bin")), pointers(small_set()))}) {
    EXPECT_EQ(scores.size(), 2u);
    for (const auto& [origin, result] : scores) EXPECT_EQ(result.correct, result.total) << origin;
  }
}

TEST(ClassifierTrainer, NeedsQuestionsOfEveryCategory) {
  std::vector<TrainingRow> rows = small_set();
  std::erase_if(rows, [](const TrainingRow& row) { return row.category == 2; });
  EXPECT_THROW(ClassifierTrainer(rows, ClassifierTraining{.vocabulary = {}}), Error);
}

TEST(CaseCounts, TellNamesFromOrdinaryWordsByRunningText) {
  CaseCounts counts;
  counts.add("The river Thames flows through London. London is on the river.");
  counts.add("She saw London and the river from a boat: a boat of wood.");
  counts.add("all lower case says nothing of london");
  EXPECT_TRUE(counts.is_common(hash_word("river")));
  EXPECT_TRUE(counts.is_common(hash_word("boat")));
  EXPECT_FALSE(counts.is_common(hash_word("london")));
  EXPECT_FALSE(counts.is_common(hash_word("thames")));
  EXPECT_FALSE(counts.is_common(hash_word("wood"))) << "once is not enough";
}

TEST(QuestionClassifier, RefusesDamagedFiles) {
  const ScratchRows folder("");
  const std::string whole = read_file(kShippedModel);
  const auto refuses = [&](const std::string& bytes) {
    write_file_atomic(folder.beside("bad.bin"), bytes);
    EXPECT_THROW(QuestionClassifier::load(folder.beside("bad.bin")), Error);
  };
  refuses("");
  refuses("{}\n");
  refuses("no header");
  for (const std::size_t size : {whole.size() - 1, whole.size() / 2, std::size_t{100}, std::size_t{20}}) refuses(whole.substr(0, size));
  refuses(whole + "x");
  for (const std::size_t at : {whole.find("num_words") + 11, whole.size() / 3, whole.size() - 2}) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ 1);
    refuses(flipped);
  }
  EXPECT_THROW(QuestionClassifier::load(folder.beside("missing.bin")), Error);
}

}  // namespace
}  // namespace sluice::data
