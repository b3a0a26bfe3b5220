// The parts of `sluice data` that train something: the question classifier, and tokenizers.
#pragma once
#include "sluice/cli/command.h"

namespace sluice::cli {

// The classifier that ships with the program.
fs::path shipped_classifier();

int run_train_classifier(const Arguments& arguments, Log& log);
int run_evaluate_classifier(const Arguments& arguments, Log& log);
int run_train_tokenizer(const Arguments& arguments, Log& log);

}  // namespace sluice::cli
