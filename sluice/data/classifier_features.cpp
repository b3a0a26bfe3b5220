#include "sluice/data/classifier_features.h"

#include <algorithm>
#include <array>
#include <bit>

#include "sluice/base/error.h"

namespace sluice::data {
namespace {

// Hashes of things that are not words: small, so that no mixed hash of a word is likely to meet them.
enum Symbol : std::uint32_t { kCommonSymbol = 1, kNameSymbol, kNumberSymbol, kYearSymbol, kOrdinalSymbol };

// The first link of a feature's hash says which kind of feature it is.
enum Kind : std::uint32_t {
  kWordFeature = 11,
  kPairFeature,
  kFrameFeature,
  kBeginning = 21,
  kEnding,
  kQuestionWord,
  kLength = 31,
  kNumbers,
  kYears,
  kNameShare,
  kNames,
  kNumberWords,
  kLengthAndNumbers,
  kLengthAndNames,
};

constexpr int kMaxFrame = 5;

// Finalizer of "Hash Prospector" (C. Wellons): every input bit reaches every output bit.
std::uint32_t mix(std::uint32_t h) {
  h ^= h >> 16;
  h *= 0x7feb352du;
  h ^= h >> 15;
  h *= 0x846ca68bu;
  return h ^ h >> 16;
}

std::uint32_t chain(std::uint32_t hash, std::uint32_t next) { return mix(hash * 0x9E3779B1u + next); }
std::uint32_t chain(std::uint32_t hash, int next) { return chain(hash, static_cast<std::uint32_t>(next)); }

template <std::size_t size>
bool contains(const std::array<std::string_view, size>& sorted, std::string_view word) {
  return std::binary_search(sorted.begin(), sorted.end(), word);
}

bool is_number_word(std::string_view word) {
  static constexpr std::array<std::string_view, 27> kWords = {
      "double", "dozen", "eight", "eleven", "fifty",    "five",  "forty", "four",   "half",   "hundred", "nine",  "one", "quarter", "seven",
      "six",    "ten",   "third", "thirty", "thousand", "three", "times", "triple", "twelve", "twenty",  "twice", "two", "zero"};
  return contains(kWords, word);
}

bool is_question_word(std::string_view word) {
  static constexpr std::array<std::string_view, 21> kWords = {"are", "can",  "could", "did",  "do",   "does",  "how",
                                                              "is",  "was",  "were",  "what", "when", "where", "which",
                                                              "who", "whom", "whose", "why",  "will", "would"};
  return contains(kWords, word);
}

// 0, 1, 2, 3, ... growing with the logarithm to base 1.5.
int length_step(int num_words) {
  int step = 0;
  for (; num_words > 1; num_words = num_words * 2 / 3) ++step;
  return step;
}

}  // namespace

std::uint32_t hash_word(std::string_view word) {
  std::uint32_t h = 2166136261u;
  for (const char c : word) h = (h ^ static_cast<std::uint8_t>(c)) * 16777619u;
  return mix(h);
}

Lexicon::Lexicon(std::vector<Entry> entries) : entries_(std::move(entries)) {
  std::sort(entries_.begin(), entries_.end());
  slots_.assign(std::bit_ceil(std::max<std::size_t>(2 * entries_.size(), 2)), {0, WordClass::kName});
  for (const Entry& entry : entries_) {
    SLUICE_CHECK(entry.second != WordClass::kName, "a lexicon lists no names");
    std::size_t slot = entry.first & (slots_.size() - 1);
    while (slots_[slot].second != WordClass::kName) slot = (slot + 1) & (slots_.size() - 1);
    slots_[slot] = entry;
  }
}

WordClass Lexicon::of(std::uint32_t word_hash) const {
  std::size_t slot = word_hash & (slots_.size() - 1);
  while (slots_[slot].second != WordClass::kName && slots_[slot].first != word_hash) slot = (slot + 1) & (slots_.size() - 1);
  return slots_[slot].second;
}

void FeatureExtractor::extract(std::span<const Word> words, const Lexicon& lexicon, std::vector<std::uint32_t>& features) {
  features.clear();
  const Shape shape = read_tokens(words, lexicon);
  add_words(features);
  add_frames(features);
  add_question_words(words, features);
  add_shape(shape, features);
}

// Words that follow one another and are all names become one token: "new york times" is one name.
FeatureExtractor::Shape FeatureExtractor::read_tokens(std::span<const Word> words, const Lexicon& lexicon) {
  Shape shape{static_cast<int>(words.size()), 0, 0, 0, 0, 0};
  tokens_.clear();
  for (const Word& word : words) {
    Token token{kNameSymbol, kNameSymbol, true};
    switch (word.kind) {
      case WordKind::kWord: {
        const std::uint32_t hash = hash_word(word.text);
        const WordClass word_class = lexicon.of(hash);
        if (word_class != WordClass::kName) token = {hash, word_class == WordClass::kGrammar ? hash : std::uint32_t{kCommonSymbol}, false};
        if (is_number_word(word.text)) ++shape.num_number_words;
        break;
      }
      case WordKind::kNumber:
        token = {kNumberSymbol, kNumberSymbol, false};
        ++shape.num_numbers;
        break;
      case WordKind::kYear:
        token = {kYearSymbol, kYearSymbol, false};
        ++shape.num_years;
        break;
      case WordKind::kOrdinal:
        token = {kOrdinalSymbol, kOrdinalSymbol, false};
        break;
      case WordKind::kMixed:
        break;
    }
    if (token.is_name) {
      ++shape.num_name_words;
      if (!tokens_.empty() && tokens_.back().is_name) continue;
      ++shape.num_names;
    }
    tokens_.push_back(token);
  }
  return shape;
}

void FeatureExtractor::add_words(std::vector<std::uint32_t>& features) const {
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    if (tokens_[i].is_name) continue;
    features.push_back(chain(kWordFeature, tokens_[i].word));
    if (i + 1 < tokens_.size() && !tokens_[i + 1].is_name)
      features.push_back(chain(chain(kPairFeature, tokens_[i].word), tokens_[i + 1].word));
  }
}

void FeatureExtractor::add_frames(std::vector<std::uint32_t>& features) const {
  const std::size_t n = tokens_.size();
  for (std::size_t i = 0; i < n; ++i) {
    std::uint32_t hash = chain(kFrameFeature, tokens_[i].frame);
    for (std::size_t j = 1; j < kMaxFrame && i + j < n; ++j) features.push_back(hash = chain(hash, tokens_[i + j].frame));
  }
  std::uint32_t hash = kBeginning;
  for (std::size_t i = 0; i < 4 && i < n; ++i) features.push_back(hash = chain(hash, tokens_[i].frame));
  hash = kEnding;
  for (std::size_t i = 0; i < 3 && i < n; ++i) features.push_back(hash = chain(hash, tokens_[n - 1 - i].frame));
}

void FeatureExtractor::add_question_words(std::span<const Word> words, std::vector<std::uint32_t>& features) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (!is_question_word(words[i].text)) continue;
    const int quarter = i == 0 ? 0 : static_cast<int>(i * 4 / words.size()) + 1;  // 0: the very first word
    features.push_back(chain(chain(kQuestionWord, hash_word(words[i].text)), quarter));
  }
}

void FeatureExtractor::add_shape(const Shape& shape, std::vector<std::uint32_t>& features) {
  const int length = length_step(shape.num_words);
  const int name_tenths = shape.num_words == 0 ? 0 : shape.num_name_words * 10 / shape.num_words;
  const int quantities = std::min(shape.num_numbers + shape.num_number_words, 4);
  features.insert(features.end(),
                  {chain(kLength, length), chain(kNumbers, std::min(shape.num_numbers, 6)), chain(kYears, std::min(shape.num_years, 3)),
                   chain(kNameShare, name_tenths), chain(kNames, std::min(shape.num_names, 6)),
                   chain(kNumberWords, std::min(shape.num_number_words, 4)), chain(chain(kLengthAndNumbers, length), quantities),
                   chain(chain(kLengthAndNames, length), std::min(shape.num_names, 4))});
}

}  // namespace sluice::data
