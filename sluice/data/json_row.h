// One row of a JSONL file as the bytes it is: where its members lie, checked to be JSON, without building a tree. Rows pass through the
// data tools unchanged but for the members the tools write.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/file.h"
#include "sluice/data/categories.h"

namespace sluice::data {

// The members of one JSON object; views into the line given to `scan`, valid as long as the line is.
class JsonRow {
 public:
  struct Member {
    std::string_view key;    // without quotes, escapes as written
    std::string_view value;  // as written
  };

  // Reads `line`. Error, naming `lines.where()`, when it is not one JSON object (RFC 8259, UTF-8), or names a member that the
  // data tools read or write twice.
  void scan(std::string_view line, const LineReader& lines);

  const std::vector<Member>& members() const { return members_; }
  const Member* find(std::string_view key) const;

 private:
  std::vector<Member> members_;
};

// The text of a JSON string as written, quotes included, into `text` with its escapes undone. False when `value` is not a string.
bool decode_string(std::string_view value, std::string& text);

// The rows of a JSONL file one by one, blank lines passed over, in constant memory. What `row` and `line` give is valid until `next`.
class JsonRows {
 public:
  explicit JsonRows(const fs::path& file, const Categories& categories = {}) : lines_(file), categories_(categories) {}
  bool next();  // false at the end; Error as JsonRow::scan
  const JsonRow& row() const { return row_; }
  std::string_view line() const { return line_; }
  std::int64_t offset() const { return offset_; }  // where `line` starts in the file, in bytes
  std::string where() const { return lines_.where(); }

  // The question into `text`. Error when there is none, or it is no string, or has no words.
  void question(std::string& text) const;
  // The category index from `expert_label` (a name or a number: 1, 1.0 or "1"); nothing when it has none or null. Error for an unknown label.
  std::optional<int> category() const;
  // As `category`, but a row without a label is an Error.
  int require_category() const;
  // The first answer into `text` (a string, the first of a list of strings, or an object's "text"); false when there is none or it is blank.
  // Error for any other form.
  bool answer(std::string& text) const;

 private:
  LineReader lines_;
  Categories categories_;
  std::string line_;
  JsonRow row_;
  std::int64_t offset_ = 0;
};

}  // namespace sluice::data
