// ROUGE-L (Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", 2004): how much of one text stands in another, in order.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace sluice::eval {

// The words that are compared: runs of ASCII letters and digits, in lower case, and of other letters; each Chinese, Japanese or Korean
// character by itself. On ASCII text as Google's rouge_score without stemming.
std::vector<std::string> rouge_words(std::string_view text);

// F1 of the longest common subsequence of words: the harmonic mean of its share of `answer` and of `reference`. 0 where either has none.
double rouge_l(std::string_view answer, std::string_view reference);

}  // namespace sluice::eval
