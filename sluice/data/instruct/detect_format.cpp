#include "sluice/data/instruct/detect_format.h"

#include <algorithm>
#include <vector>

#include "sluice/base/error.h"
#include "sluice/base/nearest.h"

namespace sluice::data {
namespace {

bool has(const OrderedJson& row, const char* column) {
  const auto found = row.find(column);
  return found != row.end() && !found->is_null();
}

// The first of `columns` that the row has; empty if none.
std::string first_of(const OrderedJson& row, std::initializer_list<const char*> columns) {
  for (const char* column : columns) {
    if (has(row, column)) return column;
  }
  return "";
}

bool is_oasst(const OrderedJson& row) {
  if (has(row, "prompt") && row["prompt"].is_object()) return true;
  return has(row, "text") && has(row, "role") && (row.contains("parent_id") || row.contains("parent_message_id") || has(row, "replies"));
}

std::optional<Format> format_of(const OrderedJson& row) {
  const std::string response = first_of(row, {"response", "completion", "output"});
  if (has(row, "messages")) return Format::kMessages;
  if (has(row, "conversations") || has(row, "conversation")) return Format::kSharegpt;
  if (is_oasst(row)) return Format::kOasst;
  if (has(row, "instruction") && has(row, "instances")) return Format::kSelfInstruct;
  if (has(row, "instruction") && row.contains("context") && has(row, "response")) return Format::kDolly;
  if (has(row, "instruction") && (response == "output" || response == "response")) return Format::kAlpaca;
  if ((has(row, "prompt") || has(row, "query")) && (response == "response" || response == "completion")) return Format::kPromptResponse;
  if (has(row, "question") && has(row, "answer")) return Format::kQa;
  if (has(row, "input_ids")) return Format::kTokenIds;
  if (has(row, "text")) return Format::kText;
  return std::nullopt;
}

std::string columns_of(const OrderedJson& row) {
  std::vector<std::string> columns;
  for (const auto& [name, value] : row.items()) columns.push_back(name);
  if (columns.empty()) return "rows without columns";
  std::string list = columns[0];
  for (std::size_t i = 1; i < columns.size(); ++i) list += (i + 1 < columns.size() ? ", " : " and ") + columns[i];
  return (columns.size() == 1 ? "the column " : "the columns ") + list;
}

bool is_preference_pair(const OrderedJson& row) { return has(row, "chosen") && has(row, "rejected"); }
bool is_marked_answer(const OrderedJson& row) {
  return (has(row, "messages") || (has(row, "prompt") && has(row, "completion"))) && has(row, "label") && row["label"].is_boolean();
}

// The settings of format custom that read a preference set.
std::string custom_settings(const OrderedJson& row) {
  std::string settings = "data.format=custom";
  if (is_marked_answer(row)) {
    settings += has(row, "messages") ? " data.columns.messages=messages" : " data.columns.prompt=prompt data.columns.response=completion";
    return settings + " data.columns.weight=label";
  }
  const std::string turns = first_of(row, {"conversations", "messages"});
  const std::string prompt = first_of(row, {"prompt", "question", "instruction"});
  if (turns.empty() && prompt.empty()) return settings + " data.columns.messages=chosen";
  settings += turns.empty() ? " data.columns.prompt=" + prompt : " data.columns.messages=" + turns;
  settings += " data.columns.response=chosen";
  if (turns == "conversations")
    settings += " data.columns.role=from data.columns.content=value data.columns.user=human data.columns.assistant=gpt";
  return settings;
}

std::string remedy_for(const OrderedJson& row, std::optional<Format> format) {
  if (format) return "set data.format=" + std::string(names(*format)[static_cast<std::size_t>(*format)]);
  const std::string answer = first_of(row, {"response", "answer", "output", "completion", "chosen"});
  return "say which column holds what: data.format=custom data.columns.prompt=... data.columns.response=" +
         (answer.empty() ? "..." : answer) +
         (row.size() == 1 && !answer.empty() ? " (without a prompt the answers alone are trained on)" : "");
}

}  // namespace

FormatGuess detect_format(std::span<const OrderedJson> rows) {
  SLUICE_CHECK(!rows.empty(), "a format is seen on rows");
  FormatGuess guess;
  guess.format = format_of(rows[0]);
  const bool all =
      std::ranges::all_of(rows, [&](const OrderedJson& row) { return format_of(row) == guess.format && !is_preference_pair(row); });
  if (!all) guess.format.reset();
  const std::string columns = columns_of(rows[0]);
  guess.why = columns + (guess.format ? " look like " + std::string(names(*guess.format)[static_cast<std::size_t>(*guess.format)])
                                      : " are of no known format");
  if (rows[0].size() == 1)
    guess.why = columns + (guess.format ? " looks like " + std::string(names(*guess.format)[static_cast<std::size_t>(*guess.format)])
                                        : " is of no known format");
  guess.remedy = remedy_for(rows[0], guess.format);
  return guess;
}

void refuse_preferences(const OrderedJson& row, const std::string& where) {
  if (is_preference_pair(row)) {
    throw Error(where + ": the row has chosen and rejected answers: a preference set (DPO)",
                "to fine-tune on the chosen answers: " + custom_settings(row));
  }
  if (is_marked_answer(row)) {
    throw Error(where + ": the row has a \"label\" of true or false, which says whether the answer is good: a preference set (KTO)",
                "to fine-tune on the good answers: " + custom_settings(row));
  }
}

}  // namespace sluice::data
