// Learns which words are names and which are ordinary, from how running text capitalises them.
#pragma once
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sluice/data/classifier_features.h"
#include "sluice/data/classifier_rows.h"

namespace sluice::data {

// How often each word stands in lower case, and capitalised, where a sentence does not begin.
class CaseCounts {
 public:
  // Counts the words of `text`. Text without any capital letter says nothing about case and is passed over.
  void add(std::string_view text);

  // In lower case at least twice, and at least as often as capitalised.
  bool is_common(std::uint32_t word_hash) const;

  struct Count {
    std::int64_t lower = 0, capital = 0;
  };
  const std::unordered_map<std::uint32_t, Count>& counts() const { return counts_; }

 private:
  std::unordered_map<std::uint32_t, Count> counts_;
};

// The common words by `counts`; those in at least 30 questions, over at least three origins (all, if there are fewer), are grammar. A word
// counts for an origin with three questions and 0.05 % of its questions.
Lexicon make_lexicon(const CaseCounts& counts, const std::vector<const TrainingRow*>& rows);

}  // namespace sluice::data
