#include "sluice/data/dataset.h"

#include <algorithm>
#include <vector>

#include "sluice/base/crc32c.h"
#include "sluice/base/error.h"
#include "sluice/data/stored_dataset.h"

namespace sluice::data {
namespace {

TextLines lines_of(const fs::path& path) { return path.extension() == ".txt" ? TextLines::kPlain : TextLines::kJson; }

// One data set for each of `limits` on one file, read once.
std::vector<std::unique_ptr<Dataset>> open_file(const fs::path& path, const DataConfig& config, const RowNeeds& needs,
                                                std::int64_t most_rows, const std::vector<RowLimit>& limits) {
  DataConfig resolved = config.with_defaults();
  resolved.path = path;
  Violations violations;
  resolved.check(violations);
  violations.raise("the data section cannot work");
  if (resolved.packing == Packing::kConcat && needs.labels == LabelPolicy::kRequired) {
    throw Error("data.packing = concat joins texts of several categories in a row, and supervised routing needs one category a row",
                "use data.packing=none, or routing_supervision.weight=0");
  }
  const auto rows = std::make_shared<const RowFile>(path, make_row_reader(resolved, needs, lines_of(path)));
  std::vector<std::unique_ptr<Dataset>> out;
  std::vector<StoredDataset*> offered;
  for (const RowLimit& limit : limits) {
    std::unique_ptr<StoredDataset> dataset;
    if (resolved.packing == Packing::kConcat)
      dataset = std::make_unique<PackedDataset>(rows, limit, resolved.seq_length);
    else
      dataset = std::make_unique<LineDataset>(rows, limit);
    offered.push_back(dataset.get());
    out.push_back(std::move(dataset));
  }
  if (resolved.packing == Packing::kConcat)
    scan_packed(*rows, resolved.seq_length, most_rows, offered);
  else
    scan_lines(*rows, most_rows, offered);
  if (std::all_of(out.begin(), out.end(), [](const auto& dataset) { return dataset->size() == 0; })) {
    throw Error(path.string() + " holds no rows", "give a file with at least one row of the format data.format names");
  }
  return out;
}

void require_targets(const Dataset& dataset) {
  if (dataset.counts().target_tokens > 0) return;
  throw Error("nothing in the " + std::to_string(dataset.size()) + " rows of " + dataset.path().string() +
                  " is trained on: no label after the first of a row is other than " + std::to_string(kNotTrained),
              "give \"labels\" that hold the ids to learn, or leave \"labels\" out to train on every token");
}

std::string with_commas(std::int64_t value) {
  std::string digits = std::to_string(value);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3) digits.insert(static_cast<std::size_t>(at), ",");
  return digits;
}

}  // namespace

void DatasetCounts::add(const ReadRow& row) {
  const Sample& sample = row.sample;
  const auto length = static_cast<std::int64_t>(sample.ids.size());
  ++rows;
  tokens += length;
  target_tokens += data::target_tokens(sample);
  longest_row = std::max(longest_row, length);
  cut_prompts += row.prompt_tokens_cut > 0;
  cut_answers += row.answer_tokens_cut > 0;
  cut_texts += row.text_tokens_cut > 0;
  if (sample.expert_label == kNoExpertLabel)
    ++unlabelled;
  else
    ++labelled[static_cast<std::size_t>(sample.expert_label)];
  fingerprint = crc32c(std::as_bytes(std::span(sample.ids)), fingerprint);
  fingerprint = crc32c(std::as_bytes(std::span(sample.labels)), fingerprint);
  fingerprint = crc32c(std::as_bytes(std::span(sample.real)), fingerprint);
  fingerprint = crc32c(std::as_bytes(std::span(&sample.expert_label, 1)), fingerprint);
}

std::string describe(const DatasetCounts& counts) {
  std::string out = with_commas(counts.rows) + " rows, " + with_commas(counts.tokens) + " tokens, " + with_commas(counts.target_tokens) +
                    " of them trained on, longest row " + with_commas(counts.longest_row);
  if (counts.unlabelled < counts.rows) {
    out += "; labels:";
    for (int i = 0; i < kNumCategories; ++i)
      out +=
          " " + std::string(kCategoryNames[static_cast<std::size_t>(i)]) + " " + with_commas(counts.labelled[static_cast<std::size_t>(i)]);
    if (counts.unlabelled > 0) out += ", none " + with_commas(counts.unlabelled);
  }
  if (counts.cut_prompts > 0) out += "; questions cut to data.seq_length: " + with_commas(counts.cut_prompts);
  if (counts.cut_answers > 0) out += "; answers cut to data.max_target_length: " + with_commas(counts.cut_answers);
  if (counts.cut_texts > 0) out += "; texts cut to data.seq_length: " + with_commas(counts.cut_texts);
  return out;
}

void StoredDataset::check_index(std::int64_t index) const {
  SLUICE_CHECK(index >= 0 && index < size(), "row " + std::to_string(index) + " of " + std::to_string(size()));
}

std::unique_ptr<Dataset> open_dataset(const fs::path& path, const DataConfig& config, const RowNeeds& needs, std::int64_t max_rows) {
  auto dataset = std::move(open_file(path, config, needs, max_rows, {RowLimit{}})[0]);
  require_targets(*dataset);
  return dataset;
}

Datasets open_datasets(const DataConfig& config, const RowNeeds& needs) {
  Datasets out;
  if (config.validation_fraction == 0) {
    out.train = open_dataset(config.path, config, needs, config.max_samples);
    if (!config.validation_path.empty()) out.validation = open_dataset(config.validation_path, config, needs, config.validation_samples);
    return out;
  }
  const double fraction = config.validation_fraction;
  auto parts = open_file(config.path, config, needs, config.max_samples,
                         {{{RowChoice::Part::kTrain, fraction}, 0}, {{RowChoice::Part::kHeldOut, fraction}, config.validation_samples}});
  for (const auto& [part, name] : {std::pair(parts[0].get(), "to train on"), std::pair(parts[1].get(), "for validation")}) {
    if (part->size() > 0) continue;
    throw Error("data.validation_fraction = " + std::to_string(fraction) + " leaves no row " + name + ": " + config.path + " gives only " +
                    std::to_string(parts[0]->size() + parts[1]->size()) + " rows",
                "use another share, more rows, or a file of held-out rows (data.validation_path)");
  }
  out.train = std::move(parts[0]);
  out.validation = std::move(parts[1]);
  require_targets(*out.train);
  require_targets(*out.validation);
  return out;
}

}  // namespace sluice::data
