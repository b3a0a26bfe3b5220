#include "sluice/eval/answers.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <set>

#include "sluice/base/error.h"
#include "sluice/eval/exact_match.h"
#include "sluice/eval/greedy_answers.h"
#include "sluice/eval/rouge.h"

namespace sluice::eval {
namespace {

struct Question {
  std::vector<std::int32_t> prompt, reference;  // reference: with the token that ends it
};

// What stands before the last run of trained tokens, and that run; nothing where none stands before it.
std::optional<Question> question_of(const data::Sample& sample) {
  const auto trained = [&](std::size_t i) { return sample.labels[i] != data::kNotTrained; };
  std::size_t end = sample.ids.size();
  while (end > 0 && !trained(end - 1)) --end;
  std::size_t begin = end;
  while (begin > 0 && trained(begin - 1)) --begin;
  if (begin == 0 || begin == end) return std::nullopt;
  const auto at = [&](std::size_t i) { return sample.ids.begin() + static_cast<std::ptrdiff_t>(i); };
  return Question{{sample.ids.begin(), at(begin)}, {at(begin), at(end)}};
}

// The tokens that end an answer: the tokenizer's, and those that end the data's answers. One that was cut ends with a word, which ends nothing.
std::vector<std::int32_t> ends_of(const std::vector<Question>& questions, const text::Tokenizer& tokenizer) {
  std::set<std::int32_t> last, out;
  for (const Question& question : questions) last.insert(question.reference.back());
  std::ranges::copy_if(last, std::inserter(out, out.end()), [&](std::int32_t id) { return tokenizer.decode({&id, 1}, text::DecodeSpecial::kSkip).empty(); });
  if (tokenizer.eos_id()) out.insert(*tokenizer.eos_id());
  return {out.begin(), out.end()};
}

}  // namespace

AnswerScores score_answers(const generate::Runnable& runnable, const data::Dataset& dataset, const text::Tokenizer& tokenizer, const AnswerOptions& options) {
  SLUICE_CHECK(options.rows > 0, "answers need rows");
  std::vector<Question> questions;
  for (std::int64_t row = 0; row < std::min(options.rows, dataset.size()); ++row) {
    auto question = question_of(dataset.at(row));
    if (question && static_cast<std::int64_t>(question->prompt.size()) < runnable.config.max_positions()) questions.push_back(std::move(*question));
  }
  if (questions.empty()) return {};
  std::vector<std::vector<std::int32_t>> prompts;
  for (const Question& question : questions) prompts.push_back(question.prompt);
  const std::vector<std::int32_t> ends = ends_of(questions, tokenizer);
  const auto answers = greedy_answers(runnable, prompts, {options.batch_size, options.max_tokens, ends});
  AnswerScores scores;
  for (std::size_t i = 0; i < questions.size(); ++i) {
    std::vector<std::int32_t>& wanted = questions[i].reference;
    if (std::ranges::binary_search(ends, wanted.back())) wanted.pop_back();
    const std::string answer = tokenizer.decode(answers[i], text::DecodeSpecial::kSkip), reference = tokenizer.decode(wanted, text::DecodeSpecial::kSkip);
    scores.exact_match += normalised_answer(answer) == normalised_answer(reference);
    scores.rouge_l += rouge_l(answer, reference);
  }
  const auto count = static_cast<double>(questions.size());
  return {scores.exact_match / count, scores.rouge_l / count};
}

}  // namespace sluice::eval
