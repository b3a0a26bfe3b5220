#include "sluice/eval/rouge.h"

#include <algorithm>

#include "sluice/text/unicode.h"
#include "sluice/text/utf8.h"

namespace sluice::eval {
namespace {

constexpr char32_t kFirstIdeograph = 0x2E80;  // from CJK radicals on, words are not set apart

bool is_word_character(char32_t code) { return (code >= '0' && code <= '9') || (code >= 'a' && code <= 'z') || code >= 0xC0; }

std::size_t longest_common_subsequence(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  std::vector<std::size_t> row(b.size() + 1, 0);  // of the words of `a` so far
  for (const std::string& word : a) {
    std::size_t diagonal = 0;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t above = row[j + 1];
      row[j + 1] = word == b[j] ? diagonal + 1 : std::max(above, row[j]);
      diagonal = above;
    }
  }
  return row.back();
}

}  // namespace

std::vector<std::string> rouge_words(std::string_view text) {
  const std::string lower = text::to_lower(text::to_valid_utf8(text));
  std::vector<std::string> out;
  bool inside = false;
  for (std::size_t at = 0; at < lower.size();) {
    const text::Utf8Char c = text::utf8_at(lower, at);
    const bool word = is_word_character(c.code) && !text::is_white_space(c.code);
    if (word && (!inside || c.code >= kFirstIdeograph)) out.emplace_back();
    if (word) out.back().append(lower, at, c.length);
    inside = word && c.code < kFirstIdeograph;
    at += c.length;
  }
  return out;
}

double rouge_l(std::string_view answer, std::string_view reference) {
  const auto ours = rouge_words(answer), theirs = rouge_words(reference);
  if (ours.empty() || theirs.empty()) return 0;
  const auto common = static_cast<double>(longest_common_subsequence(ours, theirs));
  return 2 * common / static_cast<double>(ours.size() + theirs.size());  // = 2 P R / (P + R)
}

}  // namespace sluice::eval
