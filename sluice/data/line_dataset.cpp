#include "sluice/base/error.h"
#include "sluice/data/stored_dataset.h"

namespace sluice::data {
namespace {

// A mark is 24 bytes, so an index of a file takes less than a hundredth of its rows' own size; a row is found by reading 32 lines on
// average.
constexpr std::int64_t kRowsPerMark = 64;

}  // namespace

void LineDataset::keep(std::int64_t row, const LinePlace& place, std::int64_t) {
  if (size() % kRowsPerMark == 0) marks_.push_back({place, row});
}

RawRow LineDataset::raw(std::int64_t index) const {
  check_index(index);
  const Mark& mark = marks_[static_cast<std::size_t>(index / kRowsPerMark)];
  LineReader reader = rows_->file.open_at(mark.place);
  RawRow out;
  LinePlace place;
  std::int64_t to_pass = index % kRowsPerMark;
  for (std::int64_t row = mark.row; next_row(reader, out.line, place); ++row) {
    if (limit_.choice.takes(row) && to_pass-- == 0) {
      out.where = reader.where();
      return out;
    }
  }
  throw Error(path().string() + " ends before row " + std::to_string(index) + ", which was there when the file was checked",
              "leave a run's data as it is until the run ends");
}

Sample LineDataset::at(std::int64_t index) const {
  const RawRow row = raw(index);
  return rows_->reader->read(row.line, row.where).sample;
}

void scan_lines(const RowFile& rows, std::int64_t most_rows, std::span<StoredDataset* const> datasets) {
  LineReader reader = rows.file.open_at({});
  std::string line;
  LinePlace place;
  for (std::int64_t row = 0; next_row(reader, line, place); ++row) {
    if (most_rows > 0 && row >= most_rows) {
      rows.reader->check(line, reader.where());
      continue;
    }
    const ReadRow read = rows.reader->read(line, reader.where());
    for (StoredDataset* dataset : datasets) dataset->offer(read, row, place, 0);
  }
}

}  // namespace sluice::data
