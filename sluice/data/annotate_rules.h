// Labels questions by word patterns: less exact than the classifier, but each label comes with its reason.
#pragma once
#include <string>
#include <string_view>

#include "sluice/data/classifier_words.h"

namespace sluice::data {

struct RuleMatch {
  int category;
  std::string_view rule;  // the rule's name
  std::string words;      // the question's words that it matched
};

// The first rule, in the order of the table in the .cpp, that matches; the last one, a plain factual look-up, matches every question.
RuleMatch apply_rules(const QuestionWords& question);

}  // namespace sluice::data
