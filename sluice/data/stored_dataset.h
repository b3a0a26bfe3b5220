// What the data sets on a file have in common while it is scanned: each is offered every row and keeps where its own rows start.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "sluice/data/data_file.h"
#include "sluice/data/dataset.h"
#include "sluice/data/held_out.h"

namespace sluice::data {

// A file with the reader of its rows; shared by the data sets on it.
struct RowFile {
  RowFile(const fs::path& path, std::unique_ptr<RowReader> row_reader) : file(path), reader(std::move(row_reader)) {}
  DataFile file;
  std::unique_ptr<RowReader> reader;
};

// Which of the offered rows a data set keeps: those of `choice`, at most `most` (0: all).
struct RowLimit {
  RowChoice choice;
  std::int64_t most = 0;
};

class StoredDataset : public Dataset {
 public:
  StoredDataset(std::shared_ptr<const RowFile> rows, const RowLimit& limit) : rows_(std::move(rows)), limit_(limit) {}
  const fs::path& path() const override { return rows_->file.path(); }

  // Row number `row` of the file, all rows in order from 0, which starts `skip` tokens into the line at `place`.
  void offer(const ReadRow& read, std::int64_t row, const LinePlace& place, std::int64_t skip) {
    if (!limit_.choice.takes(row) || (limit_.most > 0 && size() >= limit_.most)) return;
    keep(row, place, skip);
    const std::int64_t longest = counts_.longest_row;
    counts_.add(read);
    if (counts_.longest_row > longest) counts_.longest_at = rows_->file.path().string() + ":" + std::to_string(place.number + 1);
  }

 protected:
  // Called for the rows to keep, in order; size() is the index of the new one.
  virtual void keep(std::int64_t row, const LinePlace& place, std::int64_t skip) = 0;

  std::shared_ptr<const RowFile> rows_;
  RowLimit limit_;
};

// One row of the file a row.
class LineDataset : public StoredDataset {
 public:
  using StoredDataset::StoredDataset;
  Sample at(std::int64_t index) const override;
  RawRow raw(std::int64_t index) const override;

 private:
  void keep(std::int64_t row, const LinePlace& place, std::int64_t skip) override;
  struct Mark {
    LinePlace place;
    std::int64_t row;
  };
  std::vector<Mark> marks_;  // of every kRowsPerMark-th row kept
};

// Documents one after the other, cut into rows of `row_tokens`; a row may span documents, and the last row may be shorter.
class PackedDataset : public StoredDataset {
 public:
  PackedDataset(std::shared_ptr<const RowFile> rows, const RowLimit& limit, std::int64_t row_tokens)
      : StoredDataset(std::move(rows), limit), row_tokens_(row_tokens) {}
  Sample at(std::int64_t index) const override;
  RawRow raw(std::int64_t index) const override;

 private:
  void keep(std::int64_t row, const LinePlace& place, std::int64_t skip) override;
  struct Start {
    LinePlace place;
    std::int64_t skip;
  };
  std::vector<Start> starts_;
  std::int64_t row_tokens_;
};

// Reads the file once from its start and offers its first `most_rows` rows (0: all) to each of `datasets`; later lines are only checked.
void scan_lines(const RowFile& rows, std::int64_t most_rows, std::span<StoredDataset* const> datasets);
void scan_packed(const RowFile& rows, std::int64_t row_tokens, std::int64_t most_rows, std::span<StoredDataset* const> datasets);

}  // namespace sluice::data
