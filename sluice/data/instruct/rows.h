// The rows of a data file of any kind, one after another, as JSON objects.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "sluice/base/file.h"
#include "sluice/base/json.h"

namespace sluice::data {

class RowSource {
 public:
  virtual ~RowSource() = default;
  // The next row, an object, into `row`; false at the end. Error, with the place, when the file is broken or the row is no object.
  virtual bool next(OrderedJson& row) = 0;
  // The place of the row that `next` gave: "file:line" of JSONL, "file:line (row 3)" of a JSON array, "file row 3" of Parquet, from 1.
  virtual std::string where() const = 0;
};

// Which of a file's columns are read, where a file is stored by columns; rows of JSON come whole.
struct WantedColumns {
  std::vector<std::string> names;  // empty: all that JSON can hold
};

// What the file is says its content: Parquet by its first bytes, a JSON array by its bracket, else JSONL; the JSON kinds gzipped too. Error
// for a file that is missing or of another kind.
std::unique_ptr<RowSource> open_rows(const fs::path& path, const WantedColumns& wanted = {});

// The kinds that open_rows chooses from.
std::unique_ptr<RowSource> open_json_lines(const fs::path& path);
std::unique_ptr<RowSource> open_json_array(const fs::path& path);
// Row groups are read piece by piece. A column that was asked for and is of a type that JSON cannot hold is an Error; nulls are left out.
std::unique_ptr<RowSource> open_parquet(const fs::path& path, const WantedColumns& wanted);

// The first rows of a file, at most `count`, with all their columns.
std::vector<OrderedJson> first_rows(const fs::path& path, std::size_t count);

}  // namespace sluice::data
