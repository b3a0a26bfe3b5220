// Conversations answered: the model writes the last answer of each, which is held against the one in the data.
#pragma once
#include <cstdint>

#include "sluice/data/dataset.h"
#include "sluice/generate/loaded_model.h"
#include "sluice/text/tokenizer.h"

namespace sluice::eval {

struct AnswerOptions {
  std::int64_t rows = 0;  // the first so many of the data set
  std::int64_t batch_size = 8;
  std::int64_t max_tokens = 128;  // of an answer; fewer where the model has no more positions
};

struct AnswerScores {
  double exact_match = 0;  // share of answers equal to the data's once both are normalised (normalised_answer)
  double rouge_l = 0;      // mean
};

// Greedy answers to what stands before each row's last trained tokens, up to a token that ends a text or the one that ends the data's
// answer. `dataset` has conversations, one a row.
AnswerScores score_answers(const generate::Runnable& runnable, const data::Dataset& dataset, const text::Tokenizer& tokenizer, const AnswerOptions& options);

}  // namespace sluice::eval
