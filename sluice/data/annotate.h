// `sluice data annotate`: gives each question of a JSONL file its category.
#pragma once
#include <array>
#include <cstdint>

#include "sluice/base/file.h"
#include "sluice/data/categories.h"

namespace sluice::data {

enum class AnnotateMethod { kModel, kRules };
enum class ExistingLabels { kReplace, kKeep };

struct AnnotateRequest {
  fs::path input, output;
  AnnotateMethod method = AnnotateMethod::kModel;
  ExistingLabels existing = ExistingLabels::kReplace;
  fs::path model_file;  // for kModel
};

struct AnnotateSummary {
  std::int64_t num_rows = 0, num_kept = 0;            // num_kept: rows whose own label stayed
  std::array<std::int64_t, kNumCategories> labels{};  // of all rows, by category
};

// Writes the rows of `input` to `output` in their order, each with `expert_label`, and with kRules `expert_label_reason` ("rule: words").
// All other members stay as they are, byte for byte; a label that was there keeps its place, a new one goes to the end. A reason that no
// longer holds is taken out. Rows are read one at a time. Blank lines are passed over. Error (file:line), with `output` untouched, for a
// row that is not a JSON object, has no usable question, or has an unknown label.
AnnotateSummary annotate(const AnnotateRequest& request);

}  // namespace sluice::data
