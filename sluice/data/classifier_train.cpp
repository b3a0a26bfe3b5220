#include "sluice/data/classifier_train.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <set>

#include "sluice/base/error.h"
#include "sluice/base/rng.h"
#include "sluice/data/classifier_lexicon.h"

namespace sluice::data {
namespace {

using Weights = std::vector<std::array<float, kNumCategories>>;

constexpr std::uint64_t kDropoutStream = 0xd209, kHeldOutStream = 0x4e1d;
constexpr float kAdaGradFloor = 0.01f;  // added to the sum of squared gradients: keeps a feature's first steps small

std::array<double, kNumCategories> softmax(const std::array<double, kNumCategories>& logits) {
  const double top = *std::max_element(logits.begin(), logits.end());
  std::array<double, kNumCategories> out;
  for (std::size_t k = 0; k < out.size(); ++k) out[k] = std::exp(logits[k] - top);
  const double sum = std::accumulate(out.begin(), out.end(), 0.0);
  for (double& p : out) p /= sum;
  return out;
}

std::string fixed(double value, int digits) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

// One step on one question; each active feature has the value 1 / sqrt(their number), so that long questions do not weigh more.
void step(const std::vector<std::uint32_t>& features, int category, double weight, double learning_rate, Weights& weights,
          Weights& squares) {
  const double value = 1.0 / std::sqrt(static_cast<double>(features.size()) + 1.0);
  std::array<double, kNumCategories> logits{};
  for (const std::uint32_t feature : features) {
    for (std::size_t k = 0; k < logits.size(); ++k) logits[k] += static_cast<double>(weights[feature][k]);
  }
  for (double& logit : logits) logit *= value;
  const auto probabilities = softmax(logits);
  for (std::size_t k = 0; k < logits.size(); ++k) {
    const double error = probabilities[k] - (static_cast<int>(k) == category ? 1.0 : 0.0);
    const auto gradient = static_cast<float>(error * value * weight);
    const auto rate = static_cast<float>(learning_rate);
    for (const std::uint32_t feature : features) {
      squares[feature][k] += gradient * gradient;
      weights[feature][k] -= rate * gradient / std::sqrt(squares[feature][k] + kAdaGradFloor);
    }
  }
}

int num_categories(const std::vector<const TrainingRow*>& rows) {
  std::set<int> seen;
  for (const TrainingRow* row : rows) seen.insert(row->category);
  return static_cast<int>(seen.size());
}

}  // namespace

ClassifierTrainer::ClassifierTrainer(std::vector<TrainingRow> rows, const ClassifierTraining& settings)
    : rows_(std::move(rows)), settings_(settings) {
  std::array<std::int64_t, kNumCategories> counts{};
  for (const TrainingRow& row : rows_) ++counts[static_cast<std::size_t>(row.category)];
  for (std::size_t k = 0; k < counts.size(); ++k) {
    if (counts[k] == 0) {
      throw Error("there is no question of the category " + std::string(kCategoryNames[k]) + " to train on",
                  "add some: a classifier needs all " + std::to_string(kNumCategories) + " categories");
    }
  }
  for (const fs::path& file : settings_.vocabulary) for_each_text(file, [&](std::string_view text) { vocabulary_.add(text); });
}

QuestionClassifier ClassifierTrainer::train() const {
  return train_on(select([](const TrainingRow&) { return true; }));
}

ClassifierTrainer::RowList ClassifierTrainer::select(const std::function<bool(const TrainingRow&)>& keep) const {
  RowList rows;
  for (const TrainingRow& row : rows_) {
    if (keep(row)) rows.push_back(&row);
  }
  return rows;
}

QuestionClassifier ClassifierTrainer::train_on(const RowList& rows) const {
  CaseCounts counts = vocabulary_;
  for (const TrainingRow* row : rows) counts.add(row->question);
  Lexicon lexicon = make_lexicon(counts, rows);

  std::vector<std::vector<std::uint32_t>> features(rows.size());
  std::array<double, kNumCategories> category_rows{};
  QuestionClassifier::Scratch scratch;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    scratch.words.assign(rows[i]->question);
    scratch.extractor.extract(scratch.words.words(), lexicon, features[i]);
    for (std::uint32_t& feature : features[i]) feature &= QuestionClassifier::kNumBuckets - 1;
    category_rows[static_cast<std::size_t>(rows[i]->category)] += 1.0;
  }

  Weights weights(QuestionClassifier::kNumBuckets), squares(QuestionClassifier::kNumBuckets);
  Rng dropout(settings_.seed, kDropoutStream);
  std::vector<std::uint32_t> kept;
  for (int epoch = 0; epoch < settings_.epochs; ++epoch) {
    const double rate = settings_.learning_rate * (1.0 - static_cast<double>(epoch) / settings_.epochs);
    for (const std::int64_t at : permutation(static_cast<std::int64_t>(rows.size()), settings_.seed, static_cast<std::uint64_t>(epoch))) {
      const auto i = static_cast<std::size_t>(at);
      kept.clear();
      for (const std::uint32_t feature : features[i]) {
        if (dropout.uniform() >= settings_.feature_dropout) kept.push_back(feature);
      }
      const double share = category_rows[static_cast<std::size_t>(rows[i]->category)] / static_cast<double>(rows.size());
      step(kept, rows[i]->category, rows[i]->weight / (kNumCategories * share), rate, weights, squares);
    }
  }
  return QuestionClassifier(std::move(lexicon), weights);
}

ClassifierTrainer::Scores ClassifierTrainer::score_held_out(double share) const {
  const auto held_out = [&](const TrainingRow& row) {
    return Rng(settings_.seed ^ hash_word(row.question), kHeldOutStream).uniform() < share;
  };
  const RowList kept = select([&](const TrainingRow& row) { return !held_out(row); });
  if (num_categories(kept) < kNumCategories) return {};
  return score(train_on(kept), select(held_out));
}

ClassifierTrainer::Scores ClassifierTrainer::score_leaving_origins_out() const {
  std::map<std::string, std::set<int>> origin_categories;
  for (const TrainingRow& row : rows_) origin_categories[row.origin].insert(row.category);
  Scores scores;
  for (const auto& [origin, categories] : origin_categories) {
    const RowList kept = select([&](const TrainingRow& row) { return row.origin != origin; });
    if (num_categories(kept) < kNumCategories) continue;
    scores.merge(score(train_on(kept), select([&](const TrainingRow& row) { return row.origin == origin; })));
  }
  return scores;
}

ClassifierTrainer::Scores score(const QuestionClassifier& classifier, const std::vector<const TrainingRow*>& rows) {
  ClassifierTrainer::Scores scores;
  QuestionClassifier::Scratch scratch;
  for (const TrainingRow* row : rows) {
    ClassifierTrainer::Score& score = scores[row->origin];
    const int predicted = classifier.classify(row->question, scratch);
    ++score.total;
    ++score.predicted[static_cast<std::size_t>(predicted)];
    if (predicted == row->category) ++score.correct;
  }
  return scores;
}

std::string format_scores(const ClassifierTrainer::Scores& scores) {
  const auto line = [](const std::string& name, const ClassifierTrainer::Score& score) {
    const auto share = [&](std::int64_t count) {
      return static_cast<double>(count) / static_cast<double>(std::max<std::int64_t>(score.total, 1));
    };
    std::string out =
        "| " + (name.empty() ? "(no origin)" : name) + " | " + std::to_string(score.total) + " | " + fixed(share(score.correct), 3) + " |";
    for (const std::int64_t count : score.predicted) out += " " + fixed(share(count), 2) + " |";
    return out + "\n";
  };
  std::string table = "| source | questions | accuracy |";
  for (const std::string_view name : kCategoryNames) table += " " + std::string(name) + " |";
  table += "\n| --- | --- | --- | --- | --- | --- | --- |\n";
  ClassifierTrainer::Score all;
  for (const auto& [origin, score] : scores) {
    table += line(origin, score);
    all.correct += score.correct;
    all.total += score.total;
    for (std::size_t k = 0; k < all.predicted.size(); ++k) all.predicted[k] += score.predicted[k];
  }
  return table + line("all", all);
}

}  // namespace sluice::data
