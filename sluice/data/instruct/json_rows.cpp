// Rows of JSONL files and of files that are one JSON array, which is read element by element.
#include "sluice/base/error.h"
#include "sluice/data/instruct/byte_stream.h"
#include "sluice/data/instruct/row.h"
#include "sluice/data/instruct/rows.h"

namespace sluice::data {
namespace {

constexpr int kMaxDepth = 512;  // what walks a row recurses: hostile nesting must not exhaust the stack

bool is_space(int c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// Follows JSON text byte by byte to where a value ends; whether it is well formed is the parser's matter.
class Nesting {
 public:
  void take(char c) {
    if (in_string_) {
      if (escaped_) {
        escaped_ = false;
      } else if (c == '\\') {
        escaped_ = true;
      } else if (c == '"') {
        in_string_ = false;
      }
    } else if (c == '"') {
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      deepest_ = std::max(deepest_, ++depth_);
    } else if (c == '}' || c == ']') {
      --depth_;
    }
  }
  bool closed() const { return depth_ <= 0 && !in_string_; }
  bool too_deep() const { return deepest_ > kMaxDepth; }

 private:
  int depth_ = 0, deepest_ = 0;
  bool in_string_ = false, escaped_ = false;
};

OrderedJson parse_row(const std::string& text, const std::string& where) {
  Nesting nesting;
  for (const char c : text) nesting.take(c);
  if (nesting.too_deep())
    throw Error(where + ": the row is nested more than " + std::to_string(kMaxDepth) + " deep", "mend or remove the row");
  OrderedJson row = parse_ordered_json(text, where);
  if (!row.is_object())
    throw Error(where + ": the row is " + kind_of(row) + ", not an object",
                "write one object a line (.jsonl), or a list of objects (.json)");
  return row;
}

class JsonLines : public RowSource {
 public:
  explicit JsonLines(const fs::path& path) : bytes_(path) {}

  bool next(OrderedJson& row) override {
    do {
      number_ = bytes_.line();
      if (!bytes_.next_line(line_)) return false;
      if (number_ == 1 && line_.starts_with("\xEF\xBB\xBF")) line_.erase(0, 3);  // a byte order mark
    } while (line_.find_first_not_of(" \t\r") == std::string::npos);
    if (is_lone_brace()) take_rest();
    row = parse_row(line_, where());
    return true;
  }
  std::string where() const override { return bytes_.path().string() + ":" + std::to_string(number_); }

 private:
  // How an object over several lines begins.
  bool is_lone_brace() const {
    const std::size_t first = line_.find_first_not_of(" \t\r");
    return line_[first] == '{' && line_.find_first_not_of(" \t\r", first + 1) == std::string::npos;
  }

  // The lines up to the object's end.
  void take_rest() {
    Nesting nesting;
    nesting.take('{');
    for (std::string more; !nesting.closed();) {
      if (!bytes_.next_line(more)) throw Error(where() + ": the file ends inside this row", "the file is not whole: copy or download it again");
      for (const char c : more) nesting.take(c);
      line_ += "\n" + more;
    }
  }

  ByteStream bytes_;
  std::string line_;
  std::int64_t number_ = 0;
};

class JsonArray : public RowSource {
 public:
  explicit JsonArray(const fs::path& path) : bytes_(path) {
    while (bytes_.next() != '[') {  // open_rows saw it
    }
  }

  bool next(OrderedJson& row) override {
    if (over_) return false;
    int c = next_after_space();
    if (row_ > 0 && c == ',') {
      c = next_after_space();
      if (c == ']') fail("a comma stands before the end of the list");
    } else if (row_ > 0 && c != ']' && c != ByteStream::kEnd) {
      fail("a comma is missing after the row");
    }
    if (c == ']') return end();
    ++row_;
    take_value(c);
    row = parse_row(text_, where());
    return true;
  }
  std::string where() const override {
    return bytes_.path().string() + ":" + std::to_string(row_line_) + " (row " + std::to_string(row_) + ")";
  }

 private:
  int next_after_space() {
    while (is_space(bytes_.peek())) bytes_.next();
    return bytes_.next();
  }

  // Copies the value that starts with `first` into text_.
  void take_value(int first) {
    row_line_ = bytes_.line();
    text_.clear();
    Nesting nesting;
    for (int c = first;; c = bytes_.next()) {
      if (c == ByteStream::kEnd)
        throw Error(where() + ": the file ends inside this row", "the file is not whole: copy or download it again");
      text_.push_back(static_cast<char>(c));
      nesting.take(static_cast<char>(c));
      const int coming = bytes_.peek();
      if (nesting.closed() && (c == '}' || c == ']' || coming == ',' || coming == ']' || is_space(coming))) return;
    }
  }

  bool end() {
    over_ = true;
    while (is_space(bytes_.peek())) bytes_.next();
    if (bytes_.peek() != ByteStream::kEnd) {
      throw Error(bytes_.path().string() + ":" + std::to_string(bytes_.line()) + ": the file goes on after the end of its list",
                  "give one list of rows, or one row a line (.jsonl)");
    }
    return false;
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(bytes_.path().string() + ":" + std::to_string(bytes_.line()) + ": " + what + " (after row " + std::to_string(row_) + ")",
                "mend the file there: [{...}, {...}]");
  }

  ByteStream bytes_;
  std::string text_;
  std::int64_t row_ = 0, row_line_ = 0;
  bool over_ = false;
};

}  // namespace

std::unique_ptr<RowSource> open_json_lines(const fs::path& path) { return std::make_unique<JsonLines>(path); }
std::unique_ptr<RowSource> open_json_array(const fs::path& path) { return std::make_unique<JsonArray>(path); }

}  // namespace sluice::data
