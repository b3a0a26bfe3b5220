// The `data` section of a recipe: which rows are trained on, how they are read, and which are held out.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "sluice/base/error.h"

namespace sluice::data {

// qa: {"question", "answer", "expert_label"?}; token_ids: {"input_ids", "labels"?, "attention_mask"?, "expert_label"?}; text: {"text"} or
// plain lines of a .txt file.
enum class Format { kQa, kTokenIds, kText };
constexpr std::array<std::string_view, 3> names(Format) { return {"qa", "token_ids", "text"}; }

// none: one row of the file is one row of a batch. concat (text alone): documents follow each other, cut into rows of seq_length tokens.
enum class Packing { kNone, kConcat };
constexpr std::array<std::string_view, 2> names(Packing) { return {"none", "concat"}; }

struct DataConfig {
  std::string path;
  Format format = Format::kQa;
  std::int64_t seq_length = 0;
  std::int64_t max_target_length = 0;
  Packing packing = Packing::kNone;
  bool shuffle = true;
  std::int64_t max_samples = 0;
  std::string validation_path;
  double validation_fraction = 0;
  std::int64_t validation_samples = 0;

  void fields(auto&& field) {
    field("path", path, "The file to train on: one JSON object a line, or a .txt file for format text.");
    field("format", format, "qa (question, answer), token_ids (input_ids, labels) or text.");
    field("seq_length", seq_length,
          "Most tokens of a row. qa: of the prompt, a longer question is cut at its end; default 64. text: of the row. token_ids: rows are "
          "never cut.");
    field("max_target_length", max_target_length, "qa: most tokens of an answer with its end token; default 32.");
    field("packing", packing, "none, or concat: texts follow each other, cut into rows of seq_length tokens.");
    field("shuffle", shuffle, "Another order of the rows in each epoch, a function of train.seed alone; false: file order.");
    field("max_samples", max_samples, "Use only the file's first N rows; 0: all.");
    field("validation_path", validation_path, "A file of held-out rows of the same format.");
    field("validation_fraction", validation_fraction,
          "Hold out this share of the rows of data.path, chosen by a hash of the row's number.");
    field("validation_samples", validation_samples, "Use only the first N held-out rows; 0: all.");
  }

  // This config with the lengths that its format has by default (qa: 64 and 32) in place of 0.
  DataConfig with_defaults() const;

  // Adds what cannot work, whatever the file holds.
  void check(Violations& violations) const;
};

}  // namespace sluice::data
