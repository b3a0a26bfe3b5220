// Format qa: "Question: {question}\nAnswer: {answer}" and an end token; the loss is on the answer and its end token alone.
#include <algorithm>

#include "sluice/base/error.h"
#include "sluice/data/formats.h"

namespace sluice::data {
namespace {

void add_answer(const Json& value, const std::string& where, std::vector<std::string>& out) {
  const Json row = {{"answer", value}};  // row_text says what is wrong with it by its name
  out.push_back(row_text(row, "answer", where));
}

void add_answers(const Json& value, const std::string& where, std::vector<std::string>& out) {
  if (!value.is_array()) return add_answer(value, where, out);
  if (value.empty()) throw Error(where + ": \"answer\" is an empty list", "give at least one answer or remove the row");
  for (const Json& item : value) add_answer(item, where, out);
}

// Bytes of the first `count` characters of valid UTF-8.
std::size_t bytes_of_characters(std::string_view text, std::size_t count) {
  std::size_t at = 0;
  while (at < text.size() && count-- > 0) {
    for (++at; at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80;) ++at;
  }
  return at;
}

class QaReader : public RowReader {
 public:
  QaReader(const DataConfig& config, const RowNeeds& needs)
      : config_(config), needs_(needs), leading_(leading_tokens(*needs.tokenizer)), end_(end_token(*needs.tokenizer)) {
    const std::size_t smallest = prompt_tokens("").size();
    if (static_cast<std::int64_t>(smallest) < config_.seq_length) return;
    throw Error("data.seq_length = " + std::to_string(config_.seq_length) + " leaves no room for a question: the prompt around it takes " +
                    std::to_string(smallest) + " tokens",
                "use at least " + std::to_string(smallest + 1) + "; 64 is the default");
  }

  void check(std::string_view line, const std::string& where) const override { parse(line, where); }

  ReadRow read(std::string_view line, const std::string& where) const override {
    const auto [row, expert_label] = parse(line, where);
    ReadRow out;
    std::string_view question = row.question;
    std::vector<std::int32_t> prompt = prompt_tokens(question);
    if (const auto limit = static_cast<std::size_t>(config_.seq_length); prompt.size() > limit) {
      const std::size_t whole = prompt.size();
      question = longest_fit(question, limit);
      prompt = prompt_tokens(question);
      out.prompt_tokens_cut = static_cast<std::int64_t>(whole - prompt.size());
    }
    // The row's tokens are those of the whole text, as a reader of it would see them. Where the last tokens of the prompt alone differ
    // (a merge across the boundary), the prompt of the row ends before them.
    Sample& sample = out.sample;
    sample.ids = leading_;
    const auto text = needs_.tokenizer->encode(qa_prompt(question) + " " + row.answers[0], text::SpecialTokens::kNone);
    sample.ids.insert(sample.ids.end(), text.begin(), text.end());
    const auto split = std::mismatch(prompt.begin(), prompt.end(), sample.ids.begin(), sample.ids.end()).first - prompt.begin();
    sample.prompt_length = static_cast<std::int32_t>(split);
    // A cut answer has no end token: the model is not taught to stop in the middle.
    sample.ids.push_back(end_);
    const std::size_t room = static_cast<std::size_t>(split) + static_cast<std::size_t>(config_.max_target_length);
    if (sample.ids.size() > room) {
      out.answer_tokens_cut = static_cast<std::int64_t>(sample.ids.size() - room);
      sample.ids.resize(room);
    }
    sample.labels = sample.ids;
    std::fill_n(sample.labels.begin(), split, kNotTrained);
    sample.real.assign(sample.ids.size(), 1);
    sample.expert_label = expert_label;
    require_known_ids(sample.ids, needs_, where);
    return out;
  }

 private:
  struct LabelledRow {
    QaRow row;
    std::int32_t expert_label;
  };

  LabelledRow parse(std::string_view line, const std::string& where) const {
    const Json row = parse_row_object(line, where);
    return {parse_qa_row(row, where), row_expert_label(row, where, needs_.labels, needs_.categories)};
  }

  std::vector<std::int32_t> prompt_tokens(std::string_view question) const {
    std::vector<std::int32_t> ids = leading_;
    const auto text = needs_.tokenizer->encode(qa_prompt(question), text::SpecialTokens::kNone);
    ids.insert(ids.end(), text.begin(), text.end());
    return ids;
  }

  // The longest beginning of `question`, in whole characters, found by halving, whose prompt has at most `limit` tokens.
  std::string_view longest_fit(std::string_view question, std::size_t limit) const {
    std::size_t fits = 0, too_long = question.size();  // in characters; the empty question fits (constructor)
    while (too_long - fits > 1) {
      const std::size_t middle = fits + (too_long - fits) / 2;
      const auto ids = prompt_tokens(question.substr(0, bytes_of_characters(question, middle)));
      (ids.size() <= limit ? fits : too_long) = middle;
    }
    return question.substr(0, bytes_of_characters(question, fits));
  }

  DataConfig config_;
  RowNeeds needs_;
  std::vector<std::int32_t> leading_;
  std::int32_t end_;
};

}  // namespace

std::string qa_prompt(std::string_view question) { return "Question: " + std::string(question) + "\nAnswer:"; }

QaRow parse_qa_row(const Json& row, const std::string& where) {
  QaRow out;
  out.question = row_text(row, "question", where);
  const auto answer = row.find("answer");
  if (answer == row.end()) row_text(row, "answer", where);  // throws, naming the row's keys
  if (answer->is_object()) {
    const auto text = answer->find("text");
    if (text == answer->end())
      throw Error(where + ": \"answer\" is an object without \"text\"", "write \"answer\": \"...\", a list of texts, or {\"text\": ...}");
    add_answers(*text, where, out.answers);
  } else {
    add_answers(*answer, where, out.answers);
  }
  return out;
}

std::unique_ptr<RowReader> make_qa_reader(const DataConfig& config, const RowNeeds& needs) {
  return std::make_unique<QaReader>(config, needs);
}

}  // namespace sluice::data
