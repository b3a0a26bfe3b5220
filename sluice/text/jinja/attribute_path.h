// "a.b.0": the attribute of each item that filters such as map and sort go by.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "sluice/text/jinja/value.h"

namespace sluice::text::jinja {

enum class LetterCase { kKept, kIgnored };

// Strings in lower case, other values as they are.
Value lower_case(const Value& value);

class AttributePath {
 public:
  // `attribute` is a string or an int; nothing stands for the item itself. Strings that are found come in lower case with kIgnored.
  AttributePath(const std::optional<Value>& attribute, LetterCase letters, std::optional<Value> fallback = std::nullopt);

  Value of(Interpreter& interpreter, const Value& item) const;

 private:
  std::vector<Value> parts_;
  LetterCase letters_;
  std::optional<Value> fallback_;  // for what is undefined
};

}  // namespace sluice::text::jinja
