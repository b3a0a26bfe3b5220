// Exact match: does the model, asked the question, give one of the answers?
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/data/dataset.h"
#include "sluice/generate/loaded_model.h"
#include "sluice/text/tokenizer.h"

namespace sluice::eval {

// An answer as it is compared: lower case, without ASCII punctuation, without the articles a, an, the, words apart by one space
// (SQuAD's official evaluation, arXiv:1606.05250).
std::string normalised_answer(std::string_view answer);

struct ExactMatchOptions {
  std::int64_t rows = 0;  // the first so many of the data set
  std::int64_t batch_size = 8;
  std::int64_t max_tokens = 32;  // of an answer, with its end token
};

// Share of the questions whose greedy answer, up to the tokenizer's end token, equals any of their answers once both are normalised.
// `dataset` is of format qa; questions are asked as training asks them, cut to its length.
double exact_match(const generate::Runnable& runnable, const data::Dataset& dataset, const text::Tokenizer& tokenizer,
                   const ExactMatchOptions& options);

}  // namespace sluice::eval
