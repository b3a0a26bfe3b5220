// The operators of expressions, and subscripts.
#pragma once
#include <string_view>

#include "sluice/text/jinja/value.h"

namespace sluice::text::jinja {

// `+ - * / // % **` as Python's. Fault for types that do not go together, a division by zero, and integers beyond 64 bits.
Value binary(std::string_view op, const Value& left, const Value& right, Budget& budget);

// `-value` and `+value`.
Value signed_value(char sign, const Value& value);

// `== != < <= > >= in` and `not in`.
bool compare(std::string_view op, const Value& left, const Value& right, Budget& budget);

// value[index] for lists, dicts and strings; nothing when there is no such item.
std::optional<Value> item_of(const Value& value, const Value& index);

// value[begin:end:step]; a bound that is None is not given.
Value slice_of(const Value& value, const Value& begin, const Value& end, const Value& step, Budget& budget);

// text % arguments, with %s %r %d %i %f %e %g %x %X %o %c and %%.
std::string percent_format(const std::string& form, const Value& arguments);

}  // namespace sluice::text::jinja
