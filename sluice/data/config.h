// The `data` section of a recipe: which rows are trained on, how they are read, and which are held out.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/error.h"
#include "sluice/data/instruct/config.h"

namespace sluice::data {

// qa: {"question", "answer", "expert_label"?}; token_ids: {"input_ids", "labels"?, "attention_mask"?, "expert_label"?}; text: {"text"} or
// plain lines of a .txt file. The others are conversations (instruct/conversations.h).
enum class Format { kQa, kTokenIds, kText, kPromptResponse, kMessages, kAlpaca, kDolly, kOasst, kSharegpt, kSelfInstruct, kCustom };
constexpr std::array<std::string_view, 11> names(Format) {
  return {"qa", "token_ids", "text", "prompt_response", "messages", "alpaca", "dolly", "oasst", "sharegpt", "self_instruct", "custom"};
}

// Whether rows of `format` are conversations, which a template turns into text.
constexpr bool has_conversations(Format format) { return format >= Format::kPromptResponse; }

// none: one row of the file is one row of a batch. concat (text alone): documents follow each other, cut into rows of seq_length tokens.
// best_fit (conversations alone): whole conversations side by side in rows of seq_length tokens, each seeing itself alone.
enum class Packing { kNone, kConcat, kBestFit };
constexpr std::array<std::string_view, 3> names(Packing) { return {"none", "concat", "best_fit"}; }

struct DataConfig {
  std::string path;
  std::vector<std::string> blend;
  Format format = Format::kQa;
  std::int64_t seq_length = 0;
  std::int64_t max_target_length = 0;
  Packing packing = Packing::kNone;
  bool shuffle = true;
  std::int64_t max_samples = 0;
  std::string validation_path;
  double validation_fraction = 0;
  std::int64_t validation_samples = 0;
  InstructConfig instruct;  // its settings stand in this section, beside the ones above

  void fields(auto&& field) {
    field("path", path, "The file to train on: .jsonl; conversations: .jsonl, .json or .parquet; format text: .txt too.");
    field("blend", blend, "Several files instead of data.path, each behind its weight, as in [0.7, a.jsonl, 0.3, b.parquet].");
    field("format", format,
          "qa, token_ids or text; conversations: prompt_response, messages, alpaca, dolly, oasst, sharegpt, self_instruct or custom (data.columns).");
    field("seq_length", seq_length,
          "Most tokens of a row. qa: of the prompt, a longer question is cut at its end; default 64. text and conversations: of the row. "
          "token_ids: rows are never cut.");
    field("max_target_length", max_target_length, "qa: most tokens of an answer with its end token; default 32.");
    field("packing", packing,
          "none; text: concat, texts follow each other, cut into rows of seq_length tokens; conversations: best_fit, whole ones side by side.");
    field("shuffle", shuffle, "Another order of the rows in each epoch, a function of train.seed alone; false: file order.");
    field("max_samples", max_samples, "Use only the first N rows of each file; 0: all.");
    field("validation_path", validation_path, "A file of held-out rows of the same format.");
    field("validation_fraction", validation_fraction,
          "Hold out this share of the rows of data.path, chosen by a hash of the row's number.");
    field("validation_samples", validation_samples, "Use only the first N held-out rows; 0: all.");
    instruct.fields(field);
  }

  // This config with the lengths that its format has by default (qa: 64 and 32) in place of 0.
  DataConfig with_defaults() const;

  // Adds what cannot work, whatever the file holds.
  void check(Violations& violations) const;
};

}  // namespace sluice::data
