// The text that a model answers, as it comes.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "sluice/generate/generate.h"
#include "sluice/text/tokenizer.h"

namespace sluice::generate {

struct Answer {
  std::string text;               // special tokens left out; ends before the stop string that ended it
  std::vector<std::int32_t> ids;  // all new tokens, those of the stop string included
};

// Continues `prompt` until a stop token, one of `stop_strings` or max_tokens, and gives `show` each piece of the text that is sure. Text is
// what decoding prompt and new tokens has past the decoded prompt.
Answer answer(const Runnable& runnable, const text::Tokenizer& tokenizer, const std::vector<std::int32_t>& prompt,
              const GenerateOptions& options, const std::vector<std::string>& stop_strings,
              const std::function<void(const std::string& piece)>& show);

}  // namespace sluice::generate
