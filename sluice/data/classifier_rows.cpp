#include "sluice/data/classifier_rows.h"

#include "sluice/base/error.h"
#include "sluice/base/json.h"
#include "sluice/data/json_row.h"

namespace sluice::data {
namespace {

void for_each_string(const Json& value, const std::function<void(std::string_view)>& use) {
  if (value.is_string()) return use(value.get_ref<const std::string&>());
  if (!value.is_structured()) return;
  for (const Json& item : value) for_each_string(item, use);
}

double row_weight(const JsonRows& rows) {
  const JsonRow::Member* member = rows.row().find("weight");
  if (!member) return 1.0;
  const Json weight = parse_json(member->value, rows.where());
  if (!weight.is_number() || !(weight.get<double>() > 0.0)) {
    throw Error(rows.where() + ": \"weight\" is " + std::string(member->value.substr(0, 40)) + ", not a number above 0",
                "write 1, or leave it out");
  }
  return weight.get<double>();
}

}  // namespace

std::vector<TrainingRow> read_training_rows(const fs::path& file) {
  JsonRows rows(file);
  std::vector<TrainingRow> out;
  while (rows.next()) {
    TrainingRow row;
    rows.question(row.question);
    row.category = rows.require_category();
    const JsonRow::Member* origin = rows.row().find("origin");
    if (origin && !decode_string(origin->value, row.origin)) {
      throw Error(rows.where() + ": \"origin\" is " + std::string(origin->value.substr(0, 40)) + ", not a string",
                  "name the data set that the row is from");
    }
    row.weight = row_weight(rows);
    out.push_back(std::move(row));
  }
  if (out.empty()) throw Error(file.string() + " has no rows", "give a JSONL file with one labelled question a line");
  return out;
}

std::vector<const TrainingRow*> pointers(const std::vector<TrainingRow>& rows) {
  std::vector<const TrainingRow*> out;
  for (const TrainingRow& row : rows) out.push_back(&row);
  return out;
}

void for_each_text(const fs::path& file, const std::function<void(std::string_view)>& use) {
  if (file.extension() == ".json") return for_each_string(parse_json(read_file(file), file.string()), use);
  LineReader lines(file);
  std::string line;
  const bool rows = file.extension() == ".jsonl";
  while (lines.next(line)) {
    if (!rows) {
      use(line);
    } else if (!line.empty()) {
      for_each_string(parse_json(line, lines.where()), use);
    }
  }
}

}  // namespace sluice::data
