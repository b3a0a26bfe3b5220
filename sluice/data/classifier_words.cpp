#include "sluice/data/classifier_words.h"

#include <algorithm>

namespace sluice::data {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || static_cast<unsigned char>(c) >= 0x80; }

// Dashes, curly quotes and dots in UTF-8 are E2 80 xx: punctuation, unlike other non-ASCII characters.
bool is_unicode_punctuation(std::string_view text, std::size_t i) {
  return static_cast<unsigned char>(text[i]) == 0xE2 && i + 2 < text.size() && static_cast<unsigned char>(text[i + 1]) == 0x80;
}

WordKind kind_of(std::string_view word, int num_digits, int num_letters, int num_marks) {
  if (num_digits == 0) return WordKind::kWord;
  if (num_letters == 0) {
    const bool year = num_digits == 4 && num_marks == 0 && (word[0] == '1' || (word[0] == '2' && word[1] == '0'));
    return year ? WordKind::kYear : WordKind::kNumber;
  }
  const std::string_view tail = word.substr(word.size() - std::min<std::size_t>(2, word.size()));
  const bool ordinal = num_letters == 2 && (tail == "st" || tail == "nd" || tail == "rd" || tail == "th");
  return ordinal ? WordKind::kOrdinal : WordKind::kMixed;
}

}  // namespace

void QuestionWords::assign(std::string_view question) {
  text_.assign(question);
  for (char& c : text_) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  words_.clear();
  bool dollars = false;
  for (std::size_t i = 0; i < text_.size();) {
    const char c = text_[i];
    if (c == '%') words_.push_back({"percent", WordKind::kWord});
    if (c == '$') dollars = true;
    if (is_unicode_punctuation(text_, i)) {
      i += 3;
      continue;
    }
    if (!is_digit(c) && !is_letter(c)) {
      ++i;
      continue;
    }
    const std::size_t start = i;
    int num_digits = 0, num_letters = 0, num_marks = 0;
    for (; i < text_.size(); ++i) {
      if (is_digit(text_[i])) {
        ++num_digits;
      } else if (is_letter(text_[i]) && !is_unicode_punctuation(text_, i)) {
        ++num_letters;
      } else if ((text_[i] == '.' || text_[i] == ',') && num_letters == 0 && i + 1 < text_.size() && is_digit(text_[i + 1])) {
        ++num_marks;
      } else {
        break;
      }
    }
    const std::string_view word = std::string_view(text_).substr(start, i - start);
    words_.push_back({word, kind_of(word, num_digits, num_letters, num_marks)});
    if (dollars) words_.push_back({"dollars", WordKind::kWord});
    dollars = false;
  }
}

}  // namespace sluice::data
