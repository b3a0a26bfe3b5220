// A template's source as tokens, with the white space control of `{%-`, `-%}`, trim_blocks and lstrip_blocks already done.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::text::jinja {

struct Token {
  enum class Kind {
    kData,        // text to print as it stands
    kPrintBegin,  // {{
    kPrintEnd,    // }}
    kBlockBegin,  // {%
    kBlockEnd,    // %}
    kName,
    kString,  // text is its content, escapes resolved
    kInteger,
    kFloat,
    kOperator,  // text is the operator, one of those of Python, and | ~
    kEnd,
  };
  Kind kind;
  std::string text;
  int line;
  std::int64_t integer = 0;
  double real = 0;
};

// The tokens, the last of them kEnd. Reads as Jinja 3.1 with trim_blocks, lstrip_blocks and without keep_trailing_newline, which is how
// Hugging Face's libraries read chat templates. Comments are left out; what stands in {% raw %} is data. Error naming `where` and the line
// for what is not a template. `source` is valid UTF-8.
std::vector<Token> tokenize_template(std::string_view source, const std::string& where);

}  // namespace sluice::text::jinja
