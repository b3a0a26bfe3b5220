#include <algorithm>

#include "sluice/base/error.h"
#include "sluice/data/stored_dataset.h"

namespace sluice::data {
namespace {

// Moves tokens of `document` from `skip` on to `row` until it has `row_tokens`; returns the first token not moved.
std::int64_t fill(Sample& row, const Sample& document, std::int64_t skip, std::int64_t row_tokens) {
  const auto room = row_tokens - static_cast<std::int64_t>(row.ids.size());
  const auto end = std::min(static_cast<std::int64_t>(document.ids.size()), skip + room);
  row.ids.insert(row.ids.end(), document.ids.begin() + skip, document.ids.begin() + end);
  return end;
}

// Every token is trained on; a row of several documents has no one category.
void finish(Sample& row) {
  row.labels = row.ids;
  row.real.assign(row.ids.size(), 1);
}

}  // namespace

void PackedDataset::keep(std::int64_t, const LinePlace& place, std::int64_t skip) { starts_.push_back({place, skip}); }

RawRow PackedDataset::raw(std::int64_t index) const {
  check_index(index);
  LineReader reader = rows_->file.open_at(starts_[static_cast<std::size_t>(index)].place);
  RawRow out;
  LinePlace place;
  next_row(reader, out.line, place);
  out.where = reader.where();
  return out;
}

Sample PackedDataset::at(std::int64_t index) const {
  check_index(index);
  const Start& start = starts_[static_cast<std::size_t>(index)];
  LineReader reader = rows_->file.open_at(start.place);
  std::string line;
  LinePlace place;
  Sample row;
  for (std::int64_t skip = start.skip; static_cast<std::int64_t>(row.ids.size()) < row_tokens_ && next_row(reader, line, place); skip = 0) {
    fill(row, rows_->reader->read(line, reader.where()).sample, skip, row_tokens_);
  }
  finish(row);
  return row;
}

void scan_packed(const RowFile& rows, std::int64_t row_tokens, std::int64_t most_rows, std::span<StoredDataset* const> datasets) {
  LineReader reader = rows.file.open_at({});
  std::string line;
  LinePlace place, row_place;
  std::int64_t row = 0, row_skip = 0;
  ReadRow filling;
  const auto offer = [&] {
    finish(filling.sample);
    for (StoredDataset* dataset : datasets) dataset->offer(filling, row, row_place, row_skip);
    filling = {};
    ++row;
  };
  while (next_row(reader, line, place)) {
    if (most_rows > 0 && row >= most_rows) {
      rows.reader->check(line, reader.where());
      continue;
    }
    const Sample document = rows.reader->read(line, reader.where()).sample;
    const auto size = static_cast<std::int64_t>(document.ids.size());
    for (std::int64_t skip = 0; skip < size && (most_rows == 0 || row < most_rows);) {
      if (filling.sample.ids.empty()) {
        row_place = place;
        row_skip = skip;
      }
      skip = fill(filling.sample, document, skip, row_tokens);
      if (static_cast<std::int64_t>(filling.sample.ids.size()) == row_tokens) offer();
    }
  }
  // What is left makes a shorter row, if there is something in it to predict.
  if (filling.sample.ids.size() >= 2) offer();
}

}  // namespace sluice::data
