// The rows of a data file as samples by index: the whole file is checked when it is opened, and read again row by row, so that memory does
// not grow with the rows.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "sluice/base/file.h"
#include "sluice/data/categories.h"
#include "sluice/data/config.h"
#include "sluice/data/formats.h"
#include "sluice/data/sample.h"

namespace sluice::data {

// Sums over all rows of a data set.
struct DatasetCounts {
  std::int64_t rows = 0, tokens = 0, target_tokens = 0, longest_row = 0;
  std::int64_t cut_prompts = 0, cut_answers = 0, cut_texts = 0;  // rows that lost tokens to seq_length or max_target_length
  std::array<std::int64_t, kNumCategories> labelled{};
  std::int64_t unlabelled = 0;
  std::uint32_t fingerprint = 0;  // crc32c of the rows' tokens, labels and expert labels: equal data gives equal numbers

  void add(const ReadRow& row);
};

// One line for the log: "3,600 rows, 61,234 tokens ...", with what was cut.
std::string describe(const DatasetCounts& counts);

// A line of the file and its "file:line".
struct RawRow {
  std::string line, where;
};

class Dataset {
 public:
  virtual ~Dataset() = default;
  std::int64_t size() const { return counts_.rows; }
  const DatasetCounts& counts() const { return counts_; }
  virtual const fs::path& path() const = 0;

  // Row `index`, 0 <= index < size(). Usable from several threads. Error when the file has changed since it was opened.
  virtual Sample at(std::int64_t index) const = 0;

  // The line that row `index` was made from, for what a sample does not keep (all answers of a question); of a packed row its first line.
  virtual RawRow raw(std::int64_t index) const = 0;

 protected:
  DatasetCounts counts_;
};

struct Datasets {
  std::unique_ptr<Dataset> train;
  std::unique_ptr<Dataset> validation;  // null when the config names none
};

// Opens what `config` describes: reads and checks every row of its files (past max_samples: checked, not used). Error, naming file and
// line, for a malformed row; Error when a data set has no row, or no token to train on. The tokenizer in `needs` must outlive the result.
Datasets open_datasets(const DataConfig& config, const RowNeeds& needs);

// All rows of `path`, in the format of `config`, at most `max_rows` (0: all): what evaluation reads.
std::unique_ptr<Dataset> open_dataset(const fs::path& path, const DataConfig& config, const RowNeeds& needs, std::int64_t max_rows = 0);

}  // namespace sluice::data
