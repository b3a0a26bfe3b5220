// `sluice data stats`: what is in a JSONL file of questions.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "sluice/base/file.h"
#include "sluice/base/json.h"
#include "sluice/data/categories.h"

namespace sluice::text {
class Tokenizer;
}

namespace sluice::data {

// How often each length occurs; memory grows with the number of different lengths only.
class LengthHistogram {
 public:
  void add(std::int64_t length) {
    ++counts_[length];
    ++total_;
  }
  std::int64_t total() const { return total_; }
  // The smallest length that at least `share` of the values do not exceed (nearest rank); 0 when there are none.
  std::int64_t percentile(double share) const;
  std::int64_t max() const { return counts_.empty() ? 0 : counts_.rbegin()->first; }
  double mean() const;

 private:
  std::map<std::int64_t, std::int64_t> counts_;
  std::int64_t total_ = 0;
};

enum class CountDuplicates { kYes, kNo };

struct DataStats {
  std::int64_t num_rows = 0, num_unlabelled = 0, num_without_answer = 0;
  std::int64_t num_duplicates = -1;  // rows whose question an earlier row asks (case and punctuation aside); -1: not counted
  Categories categories;
  std::vector<std::int64_t> labels;  // rows by category
  LengthHistogram question_lengths, answer_lengths;  // in tokens, or words where there is no tokenizer; of a row's first answer
  std::string length_unit;
};

// Reads `input` once. Lengths are in tokens of `tokenizer` without special tokens, or in words when it is null. Counting duplicates holds 8
// to 16 bytes a row; all else is constant. Error (file:line) for a row that is not a JSON object, has no usable question, or an unknown
// label.
DataStats describe(const fs::path& input, const text::Tokenizer* tokenizer, CountDuplicates duplicates, const Categories& categories = {});

// For people, and for programs.
std::string format_stats(const DataStats& stats);
Json stats_json(const DataStats& stats);

}  // namespace sluice::data
