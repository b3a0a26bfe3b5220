#include "sluice/data/dataset.h"

#include <algorithm>
#include <vector>

#include "sluice/base/error.h"
#include "sluice/data/blended_dataset.h"
#include "sluice/data/instruct/blend.h"
#include "sluice/data/instruct/conversation_dataset.h"
#include "sluice/data/instruct/samples.h"
#include "sluice/data/stored_dataset.h"

namespace sluice::data {
namespace {

TextLines lines_of(const fs::path& path) { return path.extension() == ".txt" ? TextLines::kPlain : TextLines::kJson; }

// As open_file, of a file that is read line by line.
std::vector<std::unique_ptr<Dataset>> open_lines(const fs::path& path, const DataConfig& config, const RowNeeds& needs, std::int64_t most_rows,
                                                 const std::vector<RowLimit>& limits) {
  const auto rows = std::make_shared<const RowFile>(path, make_row_reader(config, needs, lines_of(path)));
  std::vector<std::unique_ptr<Dataset>> out;
  std::vector<StoredDataset*> offered;
  for (const RowLimit& limit : limits) {
    std::unique_ptr<StoredDataset> dataset;
    if (config.packing == Packing::kConcat)
      dataset = std::make_unique<PackedDataset>(rows, limit, config.seq_length);
    else
      dataset = std::make_unique<LineDataset>(rows, limit);
    offered.push_back(dataset.get());
    out.push_back(std::move(dataset));
  }
  if (config.packing == Packing::kConcat)
    scan_packed(*rows, config.seq_length, most_rows, offered);
  else
    scan_lines(*rows, most_rows, offered);
  return out;
}

// One data set for each of `limits` on one file, read once.
std::vector<std::unique_ptr<Dataset>> open_file(const fs::path& path, const DataConfig& config, const RowNeeds& needs,
                                                std::int64_t most_rows, const std::vector<RowLimit>& limits) {
  DataConfig resolved = config.with_defaults();
  resolved.path = path;
  resolved.blend.clear();
  Violations violations;
  resolved.check(violations);
  violations.raise("the data section cannot work");
  if (resolved.packing != Packing::kNone && needs.labels == LabelPolicy::kRequired) {
    throw Error("data.packing = " + std::string(names(resolved.packing)[static_cast<std::size_t>(resolved.packing)]) +
                    " joins texts of several categories in a row, and supervised routing needs one category a row",
                "use data.packing=none, or routing_supervision.weight=0");
  }
  auto out = has_conversations(resolved.format) ? open_conversations(path, resolved, needs, most_rows, limits)
                                                : open_lines(path, resolved, needs, most_rows, limits);
  if (std::all_of(out.begin(), out.end(), [](const auto& dataset) { return dataset->size() == 0; })) {
    if (const ConversationCounts& counts = out[0]->counts().conversations; counts.conversations > 0) throw nothing_is_kept(path.string(), counts, resolved);
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

}  // namespace

std::int64_t Dataset::row_at(std::int64_t position, std::uint64_t seed, Shuffle shuffle) const {
  const std::int64_t epoch = position / size(), place = position % size();
  return shuffle == Shuffle::kOff ? place : shuffled(place, size(), seed, static_cast<std::uint64_t>(epoch));
}

std::unique_ptr<Dataset> open_dataset(const fs::path& path, const DataConfig& config, const RowNeeds& needs, std::int64_t max_rows) {
  auto dataset = std::move(open_file(path, config, needs, max_rows, {RowLimit{}})[0]);
  require_targets(*dataset);
  return dataset;
}

namespace {

// The rows of one file to train on, and those that are held out of it, if any.
Datasets open_parts(const fs::path& path, const DataConfig& config, const RowNeeds& needs) {
  Datasets out;
  if (config.validation_fraction == 0) {
    out.train = open_dataset(path, config, needs, config.max_samples);
    return out;
  }
  const double fraction = config.validation_fraction;
  auto parts = open_file(path, config, needs, config.max_samples,
                         {{{RowChoice::Part::kTrain, fraction}, 0}, {{RowChoice::Part::kHeldOut, fraction}, config.validation_samples}});
  for (const auto& [part, name] : {std::pair(parts[0].get(), "to train on"), std::pair(parts[1].get(), "for validation")}) {
    if (part->size() > 0) continue;
    throw Error("data.validation_fraction = " + std::to_string(fraction) + " leaves no row " + name + ": " + path.string() + " gives only " +
                    std::to_string(parts[0]->size() + parts[1]->size()) + " rows",
                "use another share, more rows, or a file of held-out rows (data.validation_path)");
  }
  require_targets(*parts[0]);
  require_targets(*parts[1]);
  out.train = std::move(parts[0]);
  out.validation = std::move(parts[1]);
  return out;
}

Datasets open_blend(const DataConfig& config, const RowNeeds& needs) {
  Violations violations;
  const auto files = parse_blend(config.blend, violations);
  violations.raise("the data section cannot work");
  std::vector<double> weights;
  std::vector<std::unique_ptr<Dataset>> train, validation;
  for (const WeightedFile& file : files) {
    Datasets parts = open_parts(file.path, config, needs);
    weights.push_back(file.weight);
    train.push_back(std::move(parts.train));
    if (parts.validation) validation.push_back(std::move(parts.validation));
  }
  Datasets out;
  if (!validation.empty()) out.validation = std::make_unique<BlendedDataset>(std::move(validation), weights);
  out.train = std::make_unique<BlendedDataset>(std::move(train), weights);
  return out;
}

}  // namespace

Datasets open_datasets(const DataConfig& config, const RowNeeds& needs) {
  Datasets out = config.blend.empty() ? open_parts(config.path, config, needs) : open_blend(config, needs);
  if (!config.validation_path.empty()) out.validation = open_dataset(config.validation_path, config, needs, config.validation_samples);
  return out;
}

}  // namespace sluice::data
