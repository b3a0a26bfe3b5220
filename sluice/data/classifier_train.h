// Trains the question classifier, and says how well it does on questions and on sources that it has not seen.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "sluice/base/file.h"
#include "sluice/data/classifier.h"
#include "sluice/data/classifier_lexicon.h"
#include "sluice/data/classifier_rows.h"

namespace sluice::data {

struct ClassifierTraining {
  std::uint64_t seed = 42;  // order of the rows and dropped features
  int epochs = 14;
  double learning_rate = 0.5;
  double feature_dropout = 0.5;      // share of a question's features left out at each visit, so that no few features decide
  std::vector<fs::path> vocabulary;  // text files (.jsonl, .json: their strings) that, beside the rows, tell names from ordinary words
};

// Multinomial logistic regression by AdaGrad; categories count equally, whatever their numbers of rows. The same rows and settings give
// the same model. Error when there are no rows or a category has none.
class ClassifierTrainer {
 public:
  ClassifierTrainer(std::vector<TrainingRow> rows, const ClassifierTraining& settings);

  std::int64_t num_rows() const { return static_cast<std::int64_t>(rows_.size()); }

  // On all rows.
  QuestionClassifier train() const;

  // Correct and all questions, by what was left out of training.
  struct Score {
    std::int64_t correct = 0, total = 0;
    std::array<std::int64_t, kNumCategories> predicted{};
  };
  using Scores = std::map<std::string, Score>;  // by origin

  // Trained without a share of the rows (by hash of the question), scored on it. Empty when the rows are too few for that: none is held
  // out, or a category is left without any.
  Scores score_held_out(double share) const;

  // For each origin: trained without its rows, scored on them. An origin that alone has a category is left out: without it the category
  // cannot be learned.
  Scores score_leaving_origins_out() const;

 private:
  using RowList = std::vector<const TrainingRow*>;
  RowList select(const std::function<bool(const TrainingRow&)>& keep) const;
  QuestionClassifier train_on(const RowList& rows) const;

  std::vector<TrainingRow> rows_;
  ClassifierTraining settings_;
  CaseCounts vocabulary_;
};

// How well `classifier` does on labelled rows, by origin.
ClassifierTrainer::Scores score(const QuestionClassifier& classifier, const std::vector<const TrainingRow*>& rows);

// The table of `scores`, an origin a line and all together, as Markdown: accuracy, and the share of its questions given each category.
std::string format_scores(const ClassifierTrainer::Scores& scores);

}  // namespace sluice::data
