#include "sluice/data/annotate.h"

#include <optional>

#include "sluice/base/error.h"
#include "sluice/base/json.h"
#include "sluice/base/output_file.h"
#include "sluice/data/annotate_rules.h"
#include "sluice/data/classifier.h"
#include "sluice/data/json_row.h"

namespace sluice::data {
namespace {

constexpr std::string_view kLabel = "expert_label", kReason = "expert_label_reason";

// A row's bytes with its label and reason set; `out` is reused from row to row.
class RowWriter {
 public:
  // An empty `reason` takes the member out.
  void write(std::string_view line, const JsonRow& row, std::string_view label, std::string_view reason, std::string& out) {
    out.clear();
    out += line.substr(0, start_of(row, 0, line));
    is_first_ = true;
    bool has_label = false, has_reason = false;
    const auto& members = row.members();
    for (std::size_t i = 0; i < members.size(); ++i) {
      const bool is_label = members[i].key == kLabel, is_reason = members[i].key == kReason;
      has_label = has_label || is_label;
      has_reason = has_reason || is_reason;
      if (is_reason && reason.empty()) continue;
      const std::size_t start = start_of(row, i, line), value = offset(members[i].value, line);
      if (!is_first_) out += line.substr(end_of(row, i - 1, line), start - end_of(row, i - 1, line));
      is_first_ = false;
      out += line.substr(start, value - start);
      out += is_label ? label : is_reason ? reason : members[i].value;
    }
    if (!has_label) append(line, row, kLabel, label, out);
    if (!has_reason && !reason.empty()) append(line, row, kReason, reason, out);
    out += members.empty() ? std::string_view("}") : line.substr(end_of(row, members.size() - 1, line));
    out += '\n';
  }

 private:
  static std::size_t offset(std::string_view part, std::string_view line) { return static_cast<std::size_t>(part.data() - line.data()); }
  static std::size_t start_of(const JsonRow& row, std::size_t i, std::string_view line) {  // of member i's key, its quote included
    return row.members().empty() ? line.find('{') + 1 : offset(row.members()[i].key, line) - 1;
  }
  static std::size_t end_of(const JsonRow& row, std::size_t i, std::string_view line) {
    return offset(row.members()[i].value, line) + row.members()[i].value.size();
  }

  // Adds a member at the end, spaced as the row's own are.
  void append(std::string_view line, const JsonRow& row, std::string_view key, std::string_view value, std::string& out) {
    const auto& members = row.members();
    std::string_view comma = ", ", colon = ": ";
    if (members.size() > 1) comma = line.substr(end_of(row, 0, line), start_of(row, 1, line) - end_of(row, 0, line));
    if (!members.empty()) {
      const std::size_t key_end = offset(members[0].key, line) + members[0].key.size() + 1;
      colon = line.substr(key_end, offset(members[0].value, line) - key_end);
    }
    if (!is_first_) out += comma;
    is_first_ = false;
    ((out += '"') += key) += '"';
    (out += colon) += value;
  }

  bool is_first_ = true;
};

// The label that a row has and keeps.
std::optional<int> kept_category(const JsonRows& rows, const AnnotateRequest& request) {
  if (request.existing != ExistingLabels::kKeep) return std::nullopt;
  try {
    return rows.category();
  } catch (const Error& error) {
    throw Error(error.problem(), "mend that label, or leave --keep-labels out: old labels are then replaced");
  }
}

}  // namespace

AnnotateSummary annotate(const AnnotateRequest& request) {
  std::optional<QuestionClassifier> classifier;
  if (request.method == AnnotateMethod::kModel) classifier = QuestionClassifier::load(request.model_file);
  JsonRows rows(request.input);
  OutputFile output(request.output);
  AnnotateSummary summary;
  QuestionClassifier::Scratch scratch;
  RowWriter writer;
  std::string question, label, reason, out;
  while (rows.next()) {
    ++summary.num_rows;
    rows.question(question);
    const auto kept = kept_category(rows, request);
    int category = kept.value_or(0);
    reason.clear();
    if (kept) {
      ++summary.num_kept;
      output.write(rows.line());
      output.write("\n");
    } else {
      if (classifier) {
        category = classifier->classify(question, scratch);
      } else {
        scratch.words.assign(question);
        const RuleMatch match = apply_rules(scratch.words);
        category = match.category;
        reason = dump_json(Json(std::string(match.rule) + (match.words.empty() ? "" : ": " + match.words)));
      }
      label.assign(1, '"').append(kCategoryNames[static_cast<std::size_t>(category)]).append(1, '"');
      writer.write(rows.line(), rows.row(), label, reason, out);
      output.write(out);
    }
    ++summary.labels[static_cast<std::size_t>(category)];
  }
  if (summary.num_rows == 0) throw Error(request.input.string() + " has no rows", "give a JSONL file with one question a line");
  output.commit();
  return summary;
}

}  // namespace sluice::data
