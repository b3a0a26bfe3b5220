// The rows of a data file as samples by index: the whole file is checked when it is opened, and read again row by row, so that memory does
// not grow with the rows.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "sluice/base/error.h"
#include "sluice/base/file.h"
#include "sluice/data/config.h"
#include "sluice/data/dataset_counts.h"
#include "sluice/data/formats.h"
#include "sluice/data/sample.h"
#include "sluice/data/shuffle.h"

namespace sluice::data {

// A line of the file and its "file:line". Of a conversation only where it stands.
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

  // The row that is sample number `position` >= 0 of the endless stream that training reads: epoch after epoch of size() samples.
  virtual std::int64_t row_at(std::int64_t position, std::uint64_t seed, Shuffle shuffle) const;

  // Tokens of row `index`.
  virtual std::int64_t length(std::int64_t index) const { return static_cast<std::int64_t>(at(index).ids.size()); }

 protected:
  void check_index(std::int64_t index) const { SLUICE_CHECK(index >= 0 && index < size(), "row " + std::to_string(index) + " of " + std::to_string(size())); }

  DatasetCounts counts_;
};

struct Datasets {
  std::unique_ptr<Dataset> train;
  std::unique_ptr<Dataset> validation;  // null when the config names none
};

// Opens what `config` describes: reads and checks every row of its files (past max_samples, of each file: checked, not used). Error, naming
// file and line, for a malformed row; Error when a data set has no row, or no token to train on. The tokenizer in `needs` must outlive the
// result.
Datasets open_datasets(const DataConfig& config, const RowNeeds& needs);

// All rows of `path`, in the format of `config`, at most `max_rows` (0: all): what evaluation reads.
std::unique_ptr<Dataset> open_dataset(const fs::path& path, const DataConfig& config, const RowNeeds& needs, std::int64_t max_rows = 0);

}  // namespace sluice::data
