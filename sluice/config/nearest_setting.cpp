#include "sluice/config/nearest_setting.h"

#include <algorithm>
#include <limits>
#include <sstream>

#include "sluice/base/nearest.h"

namespace sluice::config {
namespace {

// What a difference counts: a letter as much as a word that was left out; a word too many more, since somebody wrote it.
constexpr std::size_t kLetter = 2, kMissingWord = 2, kWordTooMany = 3, kMostForTheSection = 3, kMostShown = 4;

struct Name {
  std::string section, last;  // "a.b" and "c" of a.b.c; no section in a name without dots
  std::vector<std::string> words;
};

Name split(const std::string& key) {
  const auto dot = key.rfind('.');
  Name name{dot == std::string::npos ? "" : key.substr(0, dot), dot == std::string::npos ? key : key.substr(dot + 1), {}};
  std::istringstream in(name.last);
  for (std::string word; std::getline(in, word, '_');) name.words.push_back(word);
  return name;
}

std::string without_underscores(std::string text) {
  std::erase(text, '_');
  return text;
}

// "coef" is "coeff", and "seq" is "sequence".
bool same_word(const std::string& a, const std::string& b) {
  return a == b || (std::min(a.size(), b.size()) >= 3 && (a.starts_with(b) || b.starts_with(a)));
}

// Whether the words of `few` stand among those of `many`, in order.
bool is_part(const std::vector<std::string>& few, const std::vector<std::string>& many) {
  std::size_t found = 0;
  for (const std::string& word : many) found += found < few.size() && same_word(few[found], word);
  return found == few.size();
}

std::size_t distance(const Name& given, const Name& known) {
  const std::size_t letters = std::min(edit_distance(given.last, known.last), edit_distance(without_underscores(given.last), without_underscores(known.last)));
  std::size_t best = kLetter * letters;
  if (is_part(given.words, known.words)) best = std::min(best, kMissingWord * (known.words.size() - given.words.size()));
  if (is_part(known.words, given.words)) best = std::min(best, kWordTooMany * (given.words.size() - known.words.size()));
  if (given.section.empty()) return best;
  return best + (same_word(given.section, known.section) ? given.section != known.section : std::min(edit_distance(given.section, known.section), kMostForTheSection));
}

}  // namespace

std::vector<std::string> nearest_settings(const std::string& key, const std::vector<std::string>& known) {
  const Name given = split(key);
  std::vector<std::string> best;
  std::size_t least = std::numeric_limits<std::size_t>::max();
  for (const std::string& candidate : known) {
    const std::size_t far = distance(given, split(candidate));
    if (far < least) best.clear();
    if (far <= least && best.size() < kMostShown) best.push_back(candidate);
    least = std::min(least, far);
  }
  return best;
}

std::string quoted_nearest(const std::string& key, const std::vector<std::string>& known) {
  std::vector<std::string> quoted;
  for (const std::string& name : nearest_settings(key, known)) quoted.push_back("'" + name + "'");
  return join_or(quoted);
}

}  // namespace sluice::config
