// Questions as words, for the classifier and the rules: lower case, no punctuation, numbers by class. Case and punctuation tell data sets
// apart (NQ-open has neither), not kinds of question, so neither reaches the classifier.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::data {

enum class WordKind : std::uint8_t { kWord, kNumber, kYear, kOrdinal, kMixed };

// A word, in lower case, as a view into its QuestionWords' text.
struct Word {
  std::string_view text;
  WordKind kind;
};

// The words of one question; reused from question to question, so that reading many does not allocate.
//   letters      a-z, and every byte of a non-ASCII character
//   kNumber      12  1,200  0.5          kYear  four digits from 1000 to 2099
//   kOrdinal     1st 22nd                kMixed letters and digits together: 5s, f16
//   $ and %      the words "dollars" and "percent", after the number
// Everything else separates: "don't" is "don" "t".
class QuestionWords {
 public:
  void assign(std::string_view question);
  const std::vector<Word>& words() const { return words_; }

 private:
  std::string text_;
  std::vector<Word> words_;
};

}  // namespace sluice::data
