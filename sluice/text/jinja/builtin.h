// Functions that a template finds there: filters, tests, methods and global functions, each a row of a table.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sluice/text/jinja/value.h"

namespace sluice::text::jinja {

class Interpreter;

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

// A call's arguments by the parameters of the one that is called.
class Bound {
 public:
  // `parameters` are names with spaces between them; "name?" may be left out, "*" and "**" take the positional and the named ones that are
  // left. Fault naming `what` ("filter 'trim'") for an argument too many, too few, twice or unknown.
  Bound(const std::string& what, std::string_view parameters, Arguments arguments);

  bool has(std::size_t parameter) const { return given_[parameter]; }
  const Value& operator[](std::size_t parameter) const { return values_[parameter]; }
  Arguments& rest() { return rest_; }

  // The argument, or what stands for it; Fault when it is of another type.
  std::string text(std::size_t parameter) const;
  std::string text_or(std::size_t parameter, const std::string& fallback) const;
  std::int64_t integer(std::size_t parameter) const;
  std::int64_t integer_or(std::size_t parameter, std::int64_t fallback) const;
  bool truth_or(std::size_t parameter, bool fallback) const { return has(parameter) ? values_[parameter].truth() : fallback; }
  // Nothing when it is not given or None.
  std::optional<Value> value(std::size_t parameter) const;

 private:
  std::string what_;
  std::vector<std::string> names_;
  std::vector<Value> values_;
  std::vector<bool> given_;
  Arguments rest_;
};

struct Builtin {
  const char* name;
  const char* parameters;
  Value (*run)(Interpreter& interpreter, Bound& arguments);
};

// In each table the first parameter of a filter, a test or a method is the value it is of.
std::span<const Builtin> text_filters();
std::span<const Builtin> sequence_filters();
std::span<const Builtin> grouping_filters();
std::span<const Builtin> selecting_filters();
std::span<const Builtin> number_filters();
std::span<const Builtin> tests();
std::span<const Builtin> text_methods();
std::span<const Builtin> list_methods();
std::span<const Builtin> dict_methods();
std::span<const Builtin> global_functions();

// The row of that name; null when there is none.
const Builtin* find_builtin(std::span<const Builtin> table, std::string_view name);
const Builtin* find_filter(std::string_view name);
std::vector<std::string> filter_names();
// The method `name` of `value`'s type; null when it has none.
const Builtin* find_method(const Value& value, std::string_view name);

}  // namespace sluice::text::jinja
