// A validating walk over JSON text: where values end, nothing built.
#pragma once
#include <cstddef>
#include <string_view>

namespace sluice::data {

// A cursor over `text`. Each `skip_*` moves past one construct and says whether it was well formed; after false the cursor is of no use.
class JsonScanner {
 public:
  explicit JsonScanner(std::string_view text) : text_(text) {}

  std::size_t position() const { return at_; }
  bool at_end() const { return at_ == text_.size(); }
  void skip_space();
  bool take(char c);  // moves past `c` if it is next
  bool skip_string();
  bool skip_value() { return skip_value(0); }

 private:
  bool skip_value(int depth);
  bool skip_members(char close, int depth);
  bool skip_number();
  bool skip_digits();
  bool skip_literal(std::string_view literal);
  bool skip_escape();
  bool skip_utf8();
  bool read_hex4(unsigned& value);

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace sluice::data
