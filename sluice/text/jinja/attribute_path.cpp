#include "sluice/text/jinja/attribute_path.h"

#include "sluice/text/jinja/characters.h"
#include "sluice/text/jinja/interpreter.h"

namespace sluice::text::jinja {

Value lower_case(const Value& value) { return value.is_text() ? Value(lower(value.text())) : value; }

AttributePath::AttributePath(const std::optional<Value>& attribute, LetterCase letters, std::optional<Value> fallback)
    : letters_(letters), fallback_(std::move(fallback)) {
  if (!attribute) return;
  if (!attribute->is_text()) {
    parts_.push_back(*attribute);
    return;
  }
  std::string_view rest = attribute->text();
  for (bool more = true; more;) {
    const std::size_t dot = rest.find('.');
    const std::string part(rest.substr(0, dot));
    const bool number = !part.empty() && part.size() < 10 && part.find_first_not_of("0123456789") == std::string::npos;
    parts_.push_back(number ? Value(std::stoll(part)) : Value(part));
    more = dot != std::string_view::npos;
    if (more) rest = rest.substr(dot + 1);
  }
}

Value AttributePath::of(Interpreter& interpreter, const Value& item) const {
  interpreter.budget().charge(1 + parts_.size());
  Value value = item;
  for (const Value& part : parts_) {
    value = interpreter.item(value, part);
    if (value.is_undefined() && fallback_) value = *fallback_;
  }
  return letters_ == LetterCase::kIgnored ? lower_case(value) : value;
}

}  // namespace sluice::text::jinja
