// `sluice data split`: two parts of a JSONL file, for training and for validation.
#pragma once
#include <cstdint>
#include <optional>

#include "sluice/base/file.h"
#include "sluice/data/categories.h"

namespace sluice::data {

struct SplitRequest {
  fs::path input, train_output, validation_output;
  double validation_fraction = 0.1;              // of the rows of each label
  std::optional<std::int64_t> validation_count;  // instead of the fraction: rows in all, shared out by label
  std::uint64_t seed = 42;
  Categories categories = {};
};

struct SplitSummary {
  std::int64_t num_train = 0, num_validation = 0;
};

// Sends each row of `input`, byte for byte and in order, to one of the two outputs by a hash of its question (of the row, when it has no
// question): equal questions, whatever their case and punctuation, go to the same side, so validation never shows a question that was
// trained on. Of each label, and of rows without one, the wanted share goes to validation, to within rows of equal hash. Reads the input
// three times; memory does not grow with it. Error, with both outputs untouched, for a row that is not a JSON object or has an unknown
// label, and when one part would be empty.
SplitSummary split(const SplitRequest& request);

}  // namespace sluice::data
