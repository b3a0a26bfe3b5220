#include "sluice/data/split.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "sluice/base/error.h"
#include "sluice/base/output_file.h"
#include "sluice/base/rng.h"
#include "sluice/data/classifier_words.h"
#include "sluice/data/data_file.h"
#include "sluice/data/json_row.h"
#include "sluice/data/row_hash.h"

namespace sluice::data {
namespace {

constexpr std::size_t kNumBins = 1 << 16;

// A group is the rows of a category; the last, those without a label.
using Counts = std::vector<std::int64_t>;  // [groups]
using Histogram = std::vector<std::int64_t>;  // [kNumBins]

using Thresholds = std::vector<std::uint32_t>;  // [groups]: rows with a hash below it go to validation

struct HashedRow {
  std::size_t group;
  std::uint32_t hash;
};

// The rows of a file as (group, seeded hash).
class RowHasher {
 public:
  explicit RowHasher(const SplitRequest& request)
      : rows_(request.input, request.categories), seed_(request.seed), unlabelled_(request.categories.names().size()) {}

  bool next(HashedRow& out) {
    if (!rows_.next()) return false;
    const auto category = rows_.category();
    out = {category ? static_cast<std::size_t>(*category) : unlabelled_, philox(seed_, hasher_.hash(rows_), 0)[0]};
    return true;
  }
  std::string_view line() const { return rows_.line(); }

 private:
  JsonRows rows_;
  QuestionHasher hasher_;
  std::uint64_t seed_;
  std::size_t unlabelled_;  // the last group
};

// Rows of each group for validation: its share, rounded so that the sum is right (largest remainders).
Counts wanted_rows(const Counts& rows, const SplitRequest& request) {
  const auto total = static_cast<double>(std::accumulate(rows.begin(), rows.end(), std::int64_t{0}));
  const double share = request.validation_count ? static_cast<double>(*request.validation_count) / total : request.validation_fraction;
  std::int64_t left = std::llround(share * total);
  Counts wanted(rows.size());
  std::vector<std::pair<double, std::size_t>> remainders;
  for (std::size_t g = 0; g < rows.size(); ++g) {
    const double exact = share * static_cast<double>(rows[g]);
    wanted[g] = std::min(static_cast<std::int64_t>(std::floor(exact)), rows[g]);
    left -= wanted[g];
    remainders.push_back({static_cast<double>(wanted[g]) - exact, g});
  }
  std::sort(remainders.begin(), remainders.end());
  for (const auto& [negative_remainder, g] : remainders) {
    if (left > 0 && wanted[g] < rows[g]) ++wanted[g], --left;
  }
  return wanted;
}

// The bin in which the running count reaches `wanted`, and how much of `wanted` is left for it.
struct Boundary {
  std::uint32_t bin;
  std::int64_t left;
};
Boundary find_boundary(const Histogram& histogram, std::int64_t wanted) {
  std::uint32_t bin = 0;
  for (; bin + 1 < kNumBins && histogram[bin] <= wanted; ++bin) wanted -= histogram[bin];
  return {bin, wanted};
}

// Two passes of 16 bits of the hash each: first which bin holds the threshold, then where in it.
Thresholds find_thresholds(const SplitRequest& request) {
  const std::size_t num_groups = request.categories.names().size() + 1;
  std::vector<Histogram> histograms(num_groups, Histogram(kNumBins));
  Counts rows(num_groups);
  HashedRow row;
  for (RowHasher hasher(request); hasher.next(row); ++rows[row.group]) ++histograms[row.group][row.hash >> 16];
  const std::int64_t total = std::accumulate(rows.begin(), rows.end(), std::int64_t{0});
  if (total == 0) throw Error(request.input.string() + " has no rows", "give a JSONL file with one object a line");
  if (request.validation_count && *request.validation_count >= total) {
    throw Error("--count " + std::to_string(*request.validation_count) + " leaves nothing to train on: " + request.input.string() +
                    " has " + std::to_string(total) + " rows",
                "use a smaller count");
  }
  const Counts wanted = wanted_rows(rows, request);
  std::vector<Boundary> boundaries(num_groups);
  for (std::size_t g = 0; g < num_groups; ++g) boundaries[g] = find_boundary(histograms[g], wanted[g]);

  histograms.assign(num_groups, Histogram(kNumBins));
  for (RowHasher hasher(request); hasher.next(row);) {
    if (row.hash >> 16 == boundaries[row.group].bin) ++histograms[row.group][row.hash & (kNumBins - 1)];
  }
  Thresholds thresholds(num_groups);
  for (std::size_t g = 0; g < num_groups; ++g)
    thresholds[g] = boundaries[g].bin << 16 | find_boundary(histograms[g], boundaries[g].left).bin;
  return thresholds;
}

}  // namespace

SplitSummary split(const SplitRequest& request) {
  if (!(request.validation_fraction > 0.0 && request.validation_fraction < 1.0)) {
    throw Error("--fraction " + std::to_string(request.validation_fraction) + " is not between 0 and 1",
                "0.1 holds out a tenth of the rows");
  }
  if (request.validation_count && *request.validation_count < 1) {
    throw Error("--count " + std::to_string(*request.validation_count) + " is not a number of rows", "use 1 or more");
  }
  if (fs::weakly_canonical(request.train_output) == fs::weakly_canonical(request.validation_output)) {
    throw Error("both parts would be written to " + request.train_output.string(), "give two files");
  }
  const DataFile readable_again(request.input);
  OutputFile train(request.train_output), validation(request.validation_output);
  const Thresholds thresholds = find_thresholds(request);
  SplitSummary summary;
  HashedRow row;
  for (RowHasher hasher(request); hasher.next(row);) {
    const bool to_validation = row.hash < thresholds[row.group];
    OutputFile& output = to_validation ? validation : train;
    output.write(hasher.line());
    output.write("\n");
    ++(to_validation ? summary.num_validation : summary.num_train);
  }
  if (summary.num_validation == 0 || summary.num_train == 0) {
    throw Error("the split of " + request.input.string() + " into " + std::to_string(summary.num_train) + " and " +
                    std::to_string(summary.num_validation) + " rows leaves one part empty",
                "use another --fraction or --count, or a file with more rows");
  }
  train.commit();
  validation.commit();
  return summary;
}

}  // namespace sluice::data
