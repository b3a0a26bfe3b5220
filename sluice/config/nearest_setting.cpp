#include "sluice/config/nearest_setting.h"

#include <algorithm>
#include <limits>
#include <sstream>

#include "sluice/base/nearest.h"

namespace sluice::config {
namespace {

// What a difference counts: a letter as much as a word that was left out; a word too many more, since somebody wrote it.
// A third of a name's letters may be wrong, and one of a short name.
constexpr std::size_t kLetter = 2, kMissingWord = 2, kWordTooMany = 3, kMostForTheSection = 3, kMostShown = 4;
constexpr std::size_t kFar = std::numeric_limits<std::size_t>::max();

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

// What the letters of two words differ by; kFar for words that are not alike.
std::size_t letters_of(const std::string& a, const std::string& b) {
  if (same_word(a, b)) return 0;
  const std::size_t letters = edit_distance(a, b);
  return letters <= std::min(a.size(), b.size()) / 5 ? kLetter * letters : kFar;  // words are short: "nope" is not "rope"
}

// What the words of `few` differ by from those that stand for them among `many`, in order; kFar when one has none.
std::size_t part_of(const std::vector<std::string>& few, const std::vector<std::string>& many) {
  std::size_t found = 0, letters = 0;
  for (const std::string& word : many) {
    if (found == few.size()) break;
    const std::size_t more = letters_of(few[found], word);
    if (more == kFar) continue;
    ++found;
    letters += more;
  }
  return found == few.size() ? letters : kFar;
}

// kFar for names of which one is not a slip of the other.
std::size_t distance(const Name& given, const Name& known) {
  const std::size_t letters = std::min(edit_distance(given.last, known.last), edit_distance(without_underscores(given.last), without_underscores(known.last)));
  std::size_t best = letters <= std::max<std::size_t>(1, given.last.size() / 3) ? kLetter * letters : kFar;
  const bool mostly_given = known.words.size() <= 2 * given.words.size() + 1;  // one word of four says too little
  if (const std::size_t part = part_of(given.words, known.words); part < kFar && mostly_given) best = std::min(best, part + kMissingWord * (known.words.size() - given.words.size()));
  if (const std::size_t part = part_of(known.words, given.words); part < kFar) best = std::min(best, part + kWordTooMany * (given.words.size() - known.words.size()));
  if (given.section.empty() || best == kFar) return best;
  return best + (same_word(given.section, known.section) ? given.section != known.section : std::min(edit_distance(given.section, known.section), kMostForTheSection));
}

}  // namespace

std::vector<std::string> nearest_settings(const std::string& key, const std::vector<std::string>& known) {
  const Name given = split(key);
  std::vector<std::string> best;
  std::size_t least = kFar - 1;
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
