// `sluice tokenize`: lines of JSON through a tokenizer, either way.
#pragma once
#include <iosfwd>

#include "sluice/cli/command.h"
#include "sluice/text/tokenizer.h"

namespace sluice::cli {

int run_tokenize(const Arguments& arguments, Log& log);

// For each line {"text": string} of `in` writes a line {"ids": [integers]}, in order. An Error names "stdin:LINE"; the lines before it
// have been written. Blank lines are skipped. The output does not depend on `num_threads`.
void tokenize(const text::Tokenizer& tokenizer, text::SpecialTokens add, std::istream& in, std::ostream& out, int num_threads);

// The reverse: {"ids"} to {"text"}, ASCII-escaped, special tokens kept. An id that the tokenizer lacks is an Error.
void detokenize(const text::Tokenizer& tokenizer, std::istream& in, std::ostream& out, int num_threads);

}  // namespace sluice::cli
