#include "sluice/eval/answers.h"

#include <algorithm>
#include <map>
#include <optional>

#include "sluice/base/error.h"
#include "sluice/eval/exact_match.h"
#include "sluice/eval/rouge.h"
#include "sluice/generate/generate.h"

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

std::string text_of(const text::Tokenizer& tokenizer, std::vector<std::int32_t> ids, const std::vector<std::int32_t>& ends) {
  if (!ids.empty() && std::ranges::find(ends, ids.back()) != ends.end()) ids.pop_back();
  return tokenizer.decode(ids, text::DecodeSpecial::kSkip);
}

}  // namespace

AnswerScores score_answers(const generate::Runnable& runnable, const data::Dataset& dataset, const text::Tokenizer& tokenizer, const AnswerOptions& options) {
  SLUICE_CHECK(options.rows > 0 && options.batch_size > 0, "answers need rows");
  std::map<std::size_t, std::vector<Question>> by_length;  // prompts of one length run side by side
  for (std::int64_t row = 0; row < std::min(options.rows, dataset.size()); ++row) {
    if (auto question = question_of(dataset.at(row))) by_length[question->prompt.size()].push_back(std::move(*question));
  }
  AnswerScores sum;
  std::int64_t count = 0;
  for (const auto& [length, questions] : by_length) {
    for (std::size_t begin = 0; begin < questions.size(); begin += static_cast<std::size_t>(options.batch_size)) {
      const std::size_t end = std::min(questions.size(), begin + static_cast<std::size_t>(options.batch_size));
      generate::GenerateOptions generation;
      generation.max_tokens = std::min(options.max_tokens, runnable.config.max_positions() - static_cast<std::int64_t>(length));
      if (generation.max_tokens < 1) continue;
      if (tokenizer.eos_id()) generation.stop_ids.push_back(*tokenizer.eos_id());
      std::vector<std::vector<std::int32_t>> prompts;
      for (std::size_t i = begin; i < end; ++i) {
        prompts.push_back(questions[i].prompt);
        // An answer that was cut ends with a word, which ends nothing.
        const std::int32_t last = questions[i].reference.back();
        if (tokenizer.decode({&last, 1}, text::DecodeSpecial::kSkip).empty()) generation.stop_ids.push_back(last);
      }
      const auto answers = generate::generate(runnable, prompts, generation);
      for (std::size_t i = begin; i < end; ++i) {
        const std::string answer = text_of(tokenizer, answers[i - begin], generation.stop_ids), reference = text_of(tokenizer, questions[i].reference, generation.stop_ids);
        sum.exact_match += normalised_answer(answer) == normalised_answer(reference);
        sum.rouge_l += rouge_l(answer, reference);
        ++count;
      }
    }
  }
  if (count == 0) return {};
  return {sum.exact_match / static_cast<double>(count), sum.rouge_l / static_cast<double>(count)};
}

}  // namespace sluice::eval
