#include "sluice/eval/exact_match.h"

#include <algorithm>

#include "sluice/base/error.h"
#include "sluice/data/formats.h"
#include "sluice/eval/greedy_answers.h"
#include "sluice/text/unicode.h"
#include "sluice/text/utf8.h"

namespace sluice::eval {
namespace {

bool is_ascii_punctuation(char32_t code) {  // Python's string.punctuation
  return (code >= '!' && code <= '/') || (code >= ':' && code <= '@') || (code >= '[' && code <= '`') || (code >= '{' && code <= '~');
}

void append_word(std::string& out, std::string& word) {
  if (!word.empty() && word != "a" && word != "an" && word != "the") out += (out.empty() ? "" : " ") + word;
  word.clear();
}

bool matches(const std::string& generated, const data::RawRow& raw) {
  const std::string answer = normalised_answer(generated);
  const auto wanted = data::parse_qa_row(data::parse_row_object(raw.line, raw.where), raw.where).answers;
  return std::ranges::any_of(wanted, [&](const std::string& one) { return normalised_answer(one) == answer; });
}

}  // namespace

std::string normalised_answer(std::string_view answer) {
  const std::string lower = text::to_lower(text::to_valid_utf8(answer));
  std::string out, word;
  for (std::size_t at = 0; at < lower.size();) {
    const text::Utf8Char c = text::utf8_at(lower, at);
    if (text::is_white_space(c.code))
      append_word(out, word);
    else if (!is_ascii_punctuation(c.code))
      word.append(lower, at, c.length);
    at += c.length;
  }
  append_word(out, word);
  return out;
}

double exact_match(const generate::Runnable& runnable, const data::Dataset& dataset, const text::Tokenizer& tokenizer,
                   const ExactMatchOptions& options) {
  const std::int64_t rows = std::min(options.rows, dataset.size());
  SLUICE_CHECK(rows > 0, "exact match needs rows");
  std::vector<std::vector<std::int32_t>> prompts;
  for (std::int64_t row = 0; row < rows; ++row) {
    const data::Sample sample = dataset.at(row);
    prompts.emplace_back(sample.ids.begin(), sample.ids.begin() + sample.prompt_length);
  }
  const auto answers = greedy_answers(runnable, prompts, {options.batch_size, options.max_tokens, {data::end_token(tokenizer)}});
  std::int64_t right = 0;
  for (std::int64_t row = 0; row < rows; ++row) right += matches(tokenizer.decode(answers[static_cast<std::size_t>(row)], text::DecodeSpecial::kSkip), dataset.raw(row));
  return static_cast<double>(right) / static_cast<double>(rows);
}

}  // namespace sluice::eval
