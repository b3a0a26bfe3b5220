#include "sluice/eval/exact_match.h"

#include <algorithm>
#include <map>

#include "sluice/base/error.h"
#include "sluice/data/formats.h"
#include "sluice/generate/generate.h"
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

// The rows that can run side by side: those with questions of one length, `batch_size` at a time.
std::vector<std::vector<std::int64_t>> by_prompt_length(const data::Dataset& dataset, std::int64_t rows, std::int64_t batch_size) {
  std::map<std::int32_t, std::vector<std::int64_t>> open;
  std::vector<std::vector<std::int64_t>> groups;
  for (std::int64_t row = 0; row < rows; ++row) {
    auto& group = open[dataset.at(row).prompt_length];
    group.push_back(row);
    if (static_cast<std::int64_t>(group.size()) == batch_size) groups.push_back(std::move(group)), group.clear();
  }
  for (auto& [length, group] : open) {
    if (!group.empty()) groups.push_back(std::move(group));
  }
  return groups;
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
  SLUICE_CHECK(rows > 0 && options.batch_size > 0, "exact match needs rows");
  generate::GenerateOptions generation;
  generation.max_tokens = options.max_tokens;
  generation.stop_ids = {data::end_token(tokenizer)};
  std::int64_t right = 0;
  for (const auto& group : by_prompt_length(dataset, rows, options.batch_size)) {
    std::vector<std::vector<std::int32_t>> prompts;
    for (const std::int64_t row : group) {
      const data::Sample sample = dataset.at(row);
      prompts.emplace_back(sample.ids.begin(), sample.ids.begin() + sample.prompt_length);
    }
    auto answers = generate::generate(runnable, prompts, generation);
    for (std::size_t i = 0; i < group.size(); ++i) {
      if (!answers[i].empty() && answers[i].back() == generation.stop_ids[0]) answers[i].pop_back();
      right += matches(tokenizer.decode(answers[i], text::DecodeSpecial::kSkip), dataset.raw(group[i]));
    }
  }
  return static_cast<double>(right) / static_cast<double>(rows);
}

}  // namespace sluice::eval
