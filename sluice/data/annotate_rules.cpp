#include "sluice/data/annotate_rules.h"

#include <algorithm>
#include <array>
#include <vector>

#include "sluice/base/error.h"
#include "sluice/data/categories.h"

namespace sluice::data {
namespace {

constexpr std::size_t kMaxGap = 10;

// A pattern is words with spaces between: "a/b" one of several words, "#" a number, "_" any one word, "*" up to ten words, a leading "^"
// the question's beginning. A rule matches when any of its patterns does and the question has at least `min_numbers` numbers.
struct Rule {
  std::string_view name, category;
  std::size_t min_numbers;
  std::vector<std::string_view> patterns;
};

const std::vector<Rule>& rules() {
  static const std::vector<Rule> kRules = {
      {"arithmetic_story",
       "numerical_reasoning",
       2,
       {"how many", "how much", "how far", "how old", "how long",
        "what is the total/average/sum/difference/cost/price/profit/area/ratio/number", "what percent/percentage/fraction", "in total",
        "altogether", "find the", "calculate"}},
      {"arithmetic_words",
       "numerical_reasoning",
       1,
       {"sum/product of", "divided/multiplied by", "percent of", "# times as", "average of #", "square root", "solve for", "remainder",
        "how many more", "how many * left/altogether/total/remain", "how much change", "how much * cost/earn/spend/pay",
        "twice/half as many/much", "# dollars/percent/each * how"}},
      {"comparison",
       "multi_hop_reasoning",
       0,
       {"older/younger/taller/larger/bigger/smaller/longer/earlier/first/later/higher/more/closer/farther * or", "^which/who * or",
        "^are/were/do/did/is/was * and * both", "^are/were/do * and * same", "same * as", "^are/were * and", "* from the same",
        "both * and", "share the same", "in common"}},
      {"relation_chain",
       "multi_hop_reasoning",
       0,
       {"the "
        "father/mother/wife/husband/spouse/director/author/founder/performer/composer/creator/producer/child/son/daughter/brother/owner * "
        "of * of",
        "of/in/by/for the director/performer/composer/author/founder/creator/screenwriter of",
        "director/performer/composer of film/song/the",
        "where/when/which/what * film/song/band/city/company/country/town that/which/whose/where/who",
        "a/an/the * actor/actress/singer/author/writer/director/player/band/film/company/politician that/which/whose/who * in/by/of/for",
        "which/what * did/was/is the _ _ who/that/which/whose", "whose * whose", "in which * was the * of", "what * the _ of the _ of",
        "who/that/which starred/directed/wrote/founded/played * which/what"}},
      {"everyday_cause",
       "commonsense_reasoning",
       0,
       {"^why would/do/does/might/is/are",
        "what would/will/might/could happen",
        "most likely",
        "likely to",
        "what happens",
        "would/could/might/do/can/should you",
        "you would/could/might/can/want/are/need/were",
        "if you/someone/somebody/he/she/they",
        "^how do/can/could/should i/you",
        "what is it called when",
        "the result of",
        "feel/feeling/felt",
        "what might/could/should/would",
        "where would/could/might/can/do/should",
        "what do people/humans/animals",
        "someone/somebody/person/people * what/where/why",
        "where is a",
        "where are you",
        "a person * would/might/could",
        "^to * you",
        "wanted/needed/decided/trying to",
        "because",
        "he/she/they/i was/were/had/did/wanted/needed"}},
      // The supervised-routing script's own table: how many and what percentage count, compare and between relate, why and what causes explain.
      {"quantity", "numerical_reasoning", 0, {"how many", "how much", "what percent/percentage/fraction"}},
      {"relation", "multi_hop_reasoning", 0, {"compare/compared", "^between", "difference between"}},
      {"cause", "commonsense_reasoning", 0, {"^why", "how come", "what causes/cause/caused"}},
      {"plain_question",
       "factual_lookup",
       0,
       {"^who/whose/whom", "^when", "^where", "^which", "^what", "^how", "who/when/where/which/what/how/name"}},
  };
  return kRules;
}

bool is_number(const Word& word) {
  static constexpr std::array<std::string_view, 14> kWords = {"dozen", "eight", "five", "four",     "half",  "hundred", "nine",
                                                              "seven", "six",   "ten",  "thousand", "three", "twice",   "two"};
  return word.kind == WordKind::kNumber || std::binary_search(kWords.begin(), kWords.end(), word.text);
}

// The pattern's next element; takes it and the space after it off.
std::string_view take_element(std::string_view& pattern) {
  const std::size_t end = std::min(pattern.find(' '), pattern.size());
  const std::string_view element = pattern.substr(0, end);
  pattern.remove_prefix(std::min(end + 1, pattern.size()));
  return element;
}

bool element_matches(std::string_view element, const Word& word) {
  if (element == "_") return true;
  if (element == "#") return is_number(word);
  while (!element.empty()) {
    const std::size_t end = std::min(element.find('/'), element.size());
    if (element.substr(0, end) == word.text) return true;
    element.remove_prefix(std::min(end + 1, element.size()));
  }
  return false;
}

// Whether `pattern` matches the words from `at` on; those that it names, in order, into `matched`.
bool matches_at(std::string_view pattern, const std::vector<Word>& words, std::size_t at, std::vector<std::string_view>& matched) {
  if (pattern.empty()) return true;
  std::string_view rest = pattern;
  const std::string_view element = take_element(rest);
  if (element == "*") {
    for (std::size_t gap = 0; gap <= kMaxGap && at + gap <= words.size(); ++gap) {
      if (matches_at(rest, words, at + gap, matched)) return true;
    }
    return false;
  }
  if (at >= words.size() || !element_matches(element, words[at])) return false;
  const std::size_t before = matched.size();
  matched.push_back(words[at].text);
  if (matches_at(rest, words, at + 1, matched)) return true;
  matched.resize(before);
  return false;
}

bool matches(std::string_view pattern, const std::vector<Word>& words, std::vector<std::string_view>& matched) {
  const bool anchored = pattern.starts_with('^');
  if (anchored) pattern.remove_prefix(1);
  const std::size_t num_starts = anchored ? std::min<std::size_t>(words.size(), 1) : words.size();
  for (std::size_t at = 0; at < num_starts; ++at) {
    if (matches_at(pattern, words, at, matched)) return true;
  }
  return false;
}

}  // namespace

RuleMatch apply_rules(const QuestionWords& question) {
  const std::vector<Word>& words = question.words();
  const auto num_numbers = static_cast<std::size_t>(std::count_if(words.begin(), words.end(), is_number));
  std::vector<std::string_view> matched;
  for (const Rule& rule : rules()) {
    if (num_numbers < rule.min_numbers) continue;
    for (const std::string_view pattern : rule.patterns) {
      matched.clear();
      if (!matches(pattern, words, matched)) continue;
      const auto category = Categories().find(rule.category);
      SLUICE_CHECK(category.has_value(), "a rule's category is not in the table");
      std::string text;
      for (const std::string_view word : matched) text += (text.empty() ? "" : " ") + std::string(word);
      if (rule.min_numbers > 0) text += ", " + std::to_string(num_numbers) + (num_numbers == 1 ? " number" : " numbers");
      return {*category, rule.name, std::move(text)};
    }
  }
  return {0, "no_pattern", ""};
}

}  // namespace sluice::data
