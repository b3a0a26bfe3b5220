// The row formats: one line of a file -> one Sample. A reader a format, each in its own file.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/file.h"
#include "sluice/base/json.h"
#include "sluice/data/categories.h"
#include "sluice/data/config.h"
#include "sluice/data/sample.h"
#include "sluice/text/tokenizer.h"

namespace sluice::data {

// Whether a row without expert_label is an Error (supervised routing needs one) or has kNoExpertLabel.
enum class LabelPolicy { kOptional, kRequired };

// What reading rows takes from the rest of the program. The tokenizer is borrowed; format token_ids needs none. Conversations also need the
// folder or file that it was read from, where its chat template is.
struct RowNeeds {
  const text::Tokenizer* tokenizer = nullptr;
  std::int64_t vocab_size = 0;  // the model's: an id from here on is an Error
  LabelPolicy labels = LabelPolicy::kOptional;
  fs::path tokenizer_path = {};
  Categories categories = {};  // that expert_label names
};

struct ReadRow {
  Sample sample;
  std::int64_t prompt_tokens_cut = 0, answer_tokens_cut = 0, text_tokens_cut = 0;
};

// Reads rows; constant after construction, so usable from several threads. `where` is "file:line" and opens every Error.
class RowReader {
 public:
  virtual ~RowReader() = default;
  virtual ReadRow read(std::string_view line, const std::string& where) const = 0;
  // Error where read() would find the row itself malformed; does not turn text into tokens.
  virtual void check(std::string_view line, const std::string& where) const = 0;
};

// How a line of format text is written.
enum class TextLines { kJson, kPlain };

// The reader of `config.format`, with the config's lengths. Error when they leave no room, or when what the format needs is missing
// (a tokenizer, its end-of-text token).
std::unique_ptr<RowReader> make_row_reader(const DataConfig& config, const RowNeeds& needs, TextLines lines = TextLines::kJson);

// --- qa ---

// "Question: {question}\nAnswer:", the text of which the answer is the continuation.
std::string qa_prompt(std::string_view question);

struct QaRow {
  std::string question;
  std::vector<std::string> answers;  // at least one; the first is trained on, any counts as an exact match
};

// {"question": text, "answer": text | [text, ...] | {"text": text | [text, ...]}}; other keys are ignored.
QaRow parse_qa_row(const Json& row, const std::string& where);

// --- shared by the readers ---

// "a number", "an array": a value's kind as messages name it.
std::string kind_of(const Json& value);

// The line as a JSON object; Error when it is anything else, or has a member twice at its top.
Json parse_row_object(std::string_view line, const std::string& where);

// `expert_label` of a row: a category's name or number (1, 1.0 or "1"); absent or null is kNoExpertLabel, or an Error under kRequired.
std::int32_t row_expert_label(const Json& row, const std::string& where, LabelPolicy labels, const Categories& categories);

// The non-blank string at `key`; Error that names the key otherwise.
const std::string& row_text(const Json& row, const std::string& key, const std::string& where);

// The tokens that a tokenizer puts before a text (BOS, as its post-processor says).
std::vector<std::int32_t> leading_tokens(const text::Tokenizer& tokenizer);

// The token that ends a text; Error when the tokenizer has none.
std::int32_t end_token(const text::Tokenizer& tokenizer);

// Error when an id is at or past `vocab_size`: the tokenizer is not the model's.
void require_known_ids(const std::vector<std::int32_t>& ids, const RowNeeds& needs, const std::string& where);

std::unique_ptr<RowReader> make_qa_reader(const DataConfig& config, const RowNeeds& needs);
std::unique_ptr<RowReader> make_token_ids_reader(const RowNeeds& needs);
std::unique_ptr<RowReader> make_text_reader(const DataConfig& config, const RowNeeds& needs, TextLines lines);

}  // namespace sluice::data
