#include "sluice/data/stats.h"

#include <cmath>
#include <cstdio>
#include <unordered_set>

#include "sluice/base/error.h"
#include "sluice/data/classifier_words.h"
#include "sluice/data/json_row.h"
#include "sluice/data/row_hash.h"
#include "sluice/text/tokenizer.h"

namespace sluice::data {
namespace {

constexpr std::array<std::pair<const char*, double>, 4> kPercentiles = {{{"p50", 0.50}, {"p90", 0.90}, {"p95", 0.95}, {"p99", 0.99}}};

double share(std::int64_t count, std::int64_t total) { return total == 0 ? 0.0 : static_cast<double>(count) / static_cast<double>(total); }

std::string format_line(const std::string& name, std::int64_t count, std::int64_t total) {
  char line[128];
  std::snprintf(line, sizeof line, "  %-24s %10lld  %5.1f %%\n", name.c_str(), static_cast<long long>(count), 100.0 * share(count, total));
  return line;
}

std::string format_lengths(const std::string& name, const LengthHistogram& lengths) {
  std::string line = name + ":";
  for (const auto& [label, at] : kPercentiles) line += std::string(" ") + label + " " + std::to_string(lengths.percentile(at));
  return line + " max " + std::to_string(lengths.max()) + "\n";
}

Json lengths_json(const LengthHistogram& lengths) {
  Json out = {{"mean", lengths.mean()}, {"max", lengths.max()}};
  for (const auto& [label, at] : kPercentiles) out[label] = lengths.percentile(at);
  return out;
}

}  // namespace

std::int64_t LengthHistogram::percentile(double share) const {
  const auto rank = static_cast<std::int64_t>(std::ceil(share * static_cast<double>(total_)));
  std::int64_t seen = 0;
  for (const auto& [length, count] : counts_) {
    seen += count;
    if (seen >= rank) return length;
  }
  return max();
}

double LengthHistogram::mean() const {
  double sum = 0.0;
  for (const auto& [length, count] : counts_) sum += static_cast<double>(length) * static_cast<double>(count);
  return total_ == 0 ? 0.0 : sum / static_cast<double>(total_);
}

DataStats describe(const fs::path& input, const text::Tokenizer* tokenizer, CountDuplicates duplicates, const Categories& categories) {
  DataStats stats;
  stats.categories = categories;
  stats.labels.resize(categories.names().size());
  stats.length_unit = tokenizer ? "tokens" : "words";
  if (duplicates == CountDuplicates::kYes) stats.num_duplicates = 0;
  QuestionWords words;
  const auto length = [&](const std::string& text) {
    if (tokenizer) return static_cast<std::int64_t>(tokenizer->encode(text, text::SpecialTokens::kNone).size());
    words.assign(text);
    return static_cast<std::int64_t>(words.words().size());
  };
  JsonRows rows(input, categories);
  QuestionHasher hasher;
  std::unordered_set<std::uint64_t> seen;
  std::string text;
  while (rows.next()) {
    ++stats.num_rows;
    rows.question(text);
    stats.question_lengths.add(length(text));
    if (rows.answer(text)) {
      stats.answer_lengths.add(length(text));
    } else {
      ++stats.num_without_answer;
    }
    if (const auto category = rows.category()) {
      ++stats.labels[static_cast<std::size_t>(*category)];
    } else {
      ++stats.num_unlabelled;
    }
    if (duplicates == CountDuplicates::kYes && !seen.insert(hasher.hash(rows)).second) ++stats.num_duplicates;
  }
  if (stats.num_rows == 0) throw Error(input.string() + " has no rows", "give a JSONL file with one question a line");
  return stats;
}

std::string format_stats(const DataStats& stats) {
  std::string out = std::to_string(stats.num_rows) + " rows\n";
  for (std::size_t k = 0; k < stats.labels.size(); ++k) out += format_line(stats.categories.names()[k], stats.labels[k], stats.num_rows);
  out += format_line("without a label", stats.num_unlabelled, stats.num_rows);
  out += format_line("without an answer", stats.num_without_answer, stats.num_rows);
  if (stats.num_duplicates >= 0) out += format_line("duplicate questions", stats.num_duplicates, stats.num_rows);
  out += format_lengths("question length in " + stats.length_unit, stats.question_lengths);
  return out + format_lengths("answer length in " + stats.length_unit, stats.answer_lengths);
}

Json stats_json(const DataStats& stats) {
  Json labels = Json::object();
  for (std::size_t k = 0; k < stats.labels.size(); ++k) {
    labels[stats.categories.names()[k]] = {{"count", stats.labels[k]}, {"share", share(stats.labels[k], stats.num_rows)}};
  }
  Json out = {{"rows", stats.num_rows},
              {"labels", labels},
              {"without_label", stats.num_unlabelled},
              {"without_answer", stats.num_without_answer},
              {"length_unit", stats.length_unit},
              {"question_length", lengths_json(stats.question_lengths)},
              {"answer_length", lengths_json(stats.answer_lengths)}};
  if (stats.num_duplicates >= 0) out["duplicates"] = stats.num_duplicates;
  return out;
}

}  // namespace sluice::data
