// Filters that go by an attribute, a filter or a test of each item; and default, which goes by whether there is a value.
#include "sluice/text/jinja/attribute_path.h"
#include "sluice/text/jinja/interpreter.h"

namespace sluice::text::jinja {
namespace {

std::string take_name(Arguments& arguments, const char* what) {
  if (!arguments.positional[0].is_text()) throw Fault(std::string("names a ") + what + " by other than a string");
  std::string name = arguments.positional[0].text();
  arguments.positional.erase(arguments.positional.begin());
  return name;
}

std::optional<Value> take_named(Arguments& arguments, std::string_view name) {
  std::optional<Value> found;
  std::erase_if(arguments.named, [&](auto& argument) {
    if (argument.first != name) return false;
    found = std::move(argument.second);
    return true;
  });
  return found;
}

// What is false has no items here, whatever it is.
std::vector<Value> items_if_true(const Value& value) { return value.truth() ? items_of(value) : std::vector<Value>{}; }

Value run_map(Interpreter& interpreter, Bound& a) {
  Arguments rest = std::move(a.rest());
  std::vector<Value> out;
  if (rest.positional.empty()) {
    const auto attribute = take_named(rest, "attribute");
    if (!attribute) throw Fault("uses the filter 'map' with neither a filter nor an attribute");
    const AttributePath path(attribute, LetterCase::kKept, take_named(rest, "default"));
    if (!rest.named.empty()) throw Fault("gives the filter 'map' an argument '" + rest.named[0].first + "', which it does not take");
    for (const Value& item : items_if_true(a[0])) out.push_back(path.of(interpreter, item));
    return interpreter.generator(std::move(out));
  }
  const std::string filter = take_name(rest, "filter");
  for (Value& item : items_if_true(a[0])) out.push_back(interpreter.apply_filter(filter, std::move(item), rest));
  return interpreter.generator(std::move(out));
}

enum class Keeps { kPassing, kFailing };
enum class TestOf { kItem, kAttribute };

// The items whose value, or attribute, passes a test (or fails it); without a test, that are true.
template <TestOf test_of, Keeps keeps>
Value run_select(Interpreter& interpreter, Bound& a) {
  Arguments rest = std::move(a.rest());
  std::optional<Value> attribute;
  if (test_of == TestOf::kAttribute) {
    if (rest.positional.empty()) throw Fault("selects by an attribute without naming it");
    attribute = rest.positional[0];
    rest.positional.erase(rest.positional.begin());
  }
  const AttributePath path(attribute, LetterCase::kKept);
  const std::string test = rest.positional.empty() ? "" : take_name(rest, "test");
  std::vector<Value> kept;
  for (Value& item : items_if_true(a[0])) {
    Value value = path.of(interpreter, item);
    const bool passes = test.empty() ? value.truth() : interpreter.apply_test(test, std::move(value), rest);
    if (passes == (keeps == Keeps::kPassing)) kept.push_back(std::move(item));
  }
  return interpreter.generator(std::move(kept));
}

Value run_default(Interpreter&, Bound& a) {
  const bool wanted = a[0].is_undefined() || (a.truth_or(2, false) && !a[0].truth());
  return !wanted ? a[0] : a.has(1) ? a[1] : Value("");
}

Value run_attr(Interpreter& interpreter, Bound& a) {
  if (a[0].is_dict()) return Value::undefined("there is no attribute '" + a.text(1) + "' in the dict");
  return interpreter.attribute(a[0], a.text(1));
}

constexpr Builtin kFilters[] = {
    {"map", "value * **", run_map},
    {"select", "value * **", run_select<TestOf::kItem, Keeps::kPassing>},
    {"reject", "value * **", run_select<TestOf::kItem, Keeps::kFailing>},
    {"selectattr", "value * **", run_select<TestOf::kAttribute, Keeps::kPassing>},
    {"rejectattr", "value * **", run_select<TestOf::kAttribute, Keeps::kFailing>},
    {"default", "value default_value? boolean?", run_default},
    {"d", "value default_value? boolean?", run_default},
    {"attr", "obj name", run_attr},
};

}  // namespace

std::span<const Builtin> selecting_filters() { return kFilters; }

}  // namespace sluice::text::jinja
