// A row by what it asks: equal questions have equal hashes, whatever their case and punctuation.
#pragma once
#include <cstdint>
#include <string>

#include "sluice/data/classifier_words.h"
#include "sluice/data/json_row.h"

namespace sluice::data {

class QuestionHasher {
 public:
  // 64 bits of the words of the row's "question"; of the whole line when it has no question with words.
  std::uint64_t hash(const JsonRows& rows);

 private:
  std::string text_;
  QuestionWords words_;
};

}  // namespace sluice::data
