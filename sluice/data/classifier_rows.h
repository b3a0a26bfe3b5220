// What the question classifier is trained on: labelled questions, and running text for its vocabulary.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/file.h"

namespace sluice::data {

struct TrainingRow {
  std::string question;
  int category;
  std::string origin;  // the data set it is from; empty when the row does not say
  double weight;       // how much it counts beside a row of weight 1
};

// Rows of JSONL {"question", "expert_label", "origin"?, "weight"?}. Error (file:line) for a row without a question or a known label.
std::vector<TrainingRow> read_training_rows(const fs::path& file);

// Pointers to `rows`, for functions that take a selection.
std::vector<const TrainingRow*> pointers(const std::vector<TrainingRow>& rows);

// Hands each text of `file` to `use`: every string in a .json file or in the rows of a .jsonl file, the lines of any other.
void for_each_text(const fs::path& file, const std::function<void(std::string_view)>& use);

}  // namespace sluice::data
