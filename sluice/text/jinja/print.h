// Values as text: what {{ ... }} prints, and the tojson filter.
#pragma once
#include <string>

#include "sluice/base/json.h"
#include "sluice/text/jinja/value.h"

namespace sluice::text::jinja {

// Python's str() and repr(). Fault for what would print an address (a generator, a function) or is not printed here (a range).
std::string to_text(const Value& value);
std::string to_repr(const Value& value);

// The shortest digits that read back as the same number, written as Python writes them: 1.0, 1e-05, 1e+16, inf, nan.
std::string float_text(double number);

enum class JsonEscapes { kAscii, kNone };

struct JsonStyle {
  JsonEscapes escapes = JsonEscapes::kNone;  // Hugging Face's tojson leaves other characters than ASCII as they are
  std::optional<std::string> indent;         // of one level; nothing: all on one line
  std::string item_separator = ", ", key_separator = ": ";
  enum class Keys { kInOrder, kSorted } keys = Keys::kInOrder;
};

// Python's json.dumps. Fault for what it refuses: undefined, objects, views.
std::string to_json_text(const Value& value, const JsonStyle& style);

// A JSON value as a template sees it.
Value from_json(const OrderedJson& json);

}  // namespace sluice::text::jinja
