#include "sluice/data/instruct/conversations.h"

#include <algorithm>

#include "sluice/base/error.h"
#include "sluice/base/nearest.h"
#include "sluice/data/instruct/detect_format.h"
#include "sluice/data/instruct/format_reader.h"
#include "sluice/data/instruct/rows.h"

namespace sluice::data {
namespace {

FormatReader make_format(const DataConfig& config, InstructCounts& counts) {
  switch (config.format) {
    case Format::kPromptResponse:
      return prompt_response_format();
    case Format::kMessages:
      return messages_format();
    case Format::kAlpaca:
      return alpaca_format();
    case Format::kDolly:
      return dolly_format();
    case Format::kOasst:
      return oasst_format(config.instruct, counts);
    case Format::kSharegpt:
      return sharegpt_format();
    case Format::kSelfInstruct:
      return self_instruct_format();
    case Format::kCustom:
      return custom_format(config.instruct.columns);
    default:
      throw Bug("rows of this format are no conversations");
  }
}

WantedColumns columns_of(const FormatReader& format) {
  WantedColumns wanted{format.optional};
  for (const auto& names : format.required) wanted.names.insert(wanted.names.end(), names.begin(), names.end());
  wanted.names.insert(wanted.names.end(), std::begin(kRowColumns), std::end(kRowColumns));
  wanted.names.insert(wanted.names.end(), {"chosen", "rejected", "label"});  // what preference sets are known by
  return wanted;
}

void require_columns(const FormatReader& format, const Row& row) {
  for (const auto& names : format.required) {
    const auto has = [&](const std::string& name) { return row.columns.contains(name) && !row.columns[name].is_null(); };
    if (std::ranges::any_of(names, has)) continue;
    std::vector<std::string> missing, present;
    for (const std::string& name : names) missing.push_back('"' + name + '"');
    for (const auto& [name, value] : row.columns.items()) present.push_back(name);
    throw Error(row.where + ": the row has no " + join_or(missing) + (present.empty() ? "" : "; it has " + join_or(present)),
                "fill it in or remove the row");
  }
}

// A mistake in the first row is often one of the format: its remedy then says which one the file looks like.
Error first_row_error(const Error& error, const fs::path& path, Format format) {
  const FormatGuess guess = detect_format(first_rows(path, 1));
  if (guess.format == format) return error;
  return Error(error.problem() + " (" + guess.why + ")", guess.remedy + "; or " + error.remedy());
}

}  // namespace

InstructCounts read_conversations(const fs::path& path, const DataConfig& config, const std::function<void(InstructRow&&)>& use) {
  InstructCounts counts;
  const FormatReader format = make_format(config, counts);
  const auto rows = open_rows(path, columns_of(format));
  const auto hand_on = [&](InstructRow&& row) {
    ++counts.conversations;
    use(std::move(row));
  };
  std::vector<InstructRow> of_row;
  for (Row row; rows->next(row.columns); ++counts.rows) {
    row.where = rows->where();
    if (config.format != Format::kCustom) refuse_preferences(row.columns, row.where);
    try {
      require_columns(format, row);
      format.read(row, [&](InstructRow&& conversation) { of_row.push_back(std::move(conversation)); });
    } catch (const Error& error) {
      if (counts.rows > 0 || config.format == Format::kCustom) throw;
      throw first_row_error(error, path, config.format);
    }
    for (InstructRow& conversation : of_row) hand_on(std::move(conversation));
    of_row.clear();
  }
  if (format.finish) format.finish(hand_on);
  if (counts.rows == 0) throw Error(path.string() + " has no rows", "give a file with at least one");
  return counts;
}

}  // namespace sluice::data
