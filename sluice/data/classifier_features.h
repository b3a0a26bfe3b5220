// What the classifier looks at: a question as a set of hashed features, the same when training and when labelling.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "sluice/data/classifier_words.h"

namespace sluice::data {

// The low bits of FNV-1a, mixed: words and features are known by their hashes alone.
std::uint32_t hash_word(std::string_view word);

// How much of a word the classifier sees. Not its class in this question but in running text, so that a lower-case question with names
// looks the same as one written with capitals.
enum class WordClass : std::uint8_t {
  kName,     // mostly capitalised in running text, or unknown
  kCommon,   // an ordinary word
  kGrammar,  // an ordinary word that questions of every source use: kept in the sentence's frame
};

// Word classes by word hash; a word that is not listed is a name.
class Lexicon {
 public:
  using Entry = std::pair<std::uint32_t, WordClass>;
  Lexicon() : Lexicon(std::vector<Entry>{}) {}
  explicit Lexicon(std::vector<Entry> entries);  // one entry a hash
  WordClass of(std::uint32_t word_hash) const;
  const std::vector<Entry>& entries() const { return entries_; }  // by rising hash

 private:
  std::vector<Entry> entries_;
  std::vector<Entry> slots_;  // open addressing, at most half full; kName marks a free slot
};

// Hashes of the features of one question: words, word pairs, frames (runs of up to five words where only grammar words keep their
// identity and the rest their class), how it begins and ends, where its question word stands, and its shape (numbers, names, length).
class FeatureExtractor {
 public:
  // Replaces `features`. Never empty.
  void extract(std::span<const Word> words, const Lexicon& lexicon, std::vector<std::uint32_t>& features);

 private:
  struct Token {
    std::uint32_t word;   // as itself; all names alike
    std::uint32_t frame;  // grammar words as themselves, all others by class
    bool is_name;
  };
  struct Shape {
    int num_words, num_numbers, num_years, num_number_words, num_name_words, num_names;
  };
  Shape read_tokens(std::span<const Word> words, const Lexicon& lexicon);
  void add_words(std::vector<std::uint32_t>& features) const;
  void add_frames(std::vector<std::uint32_t>& features) const;
  static void add_question_words(std::span<const Word> words, std::vector<std::uint32_t>& features);
  static void add_shape(const Shape& shape, std::vector<std::uint32_t>& features);

  std::vector<Token> tokens_;
};

}  // namespace sluice::data
