// What stands behind `is`.
#include <cmath>

#include "sluice/text/jinja/characters.h"
#include "sluice/text/jinja/interpreter.h"
#include "sluice/text/jinja/objects.h"
#include "sluice/text/jinja/operators.h"
#include "sluice/text/jinja/print.h"

namespace sluice::text::jinja {
namespace {

template <bool (*holds)(const Value& value)>
Value run(Interpreter&, Bound& a) {
  return holds(a[0]);
}

bool is_defined(const Value& value) { return !value.is_undefined(); }
bool is_undefined(const Value& value) { return value.is_undefined(); }
bool is_none(const Value& value) { return value.is_none(); }
bool is_boolean(const Value& value) { return value.is_bool(); }
bool is_true(const Value& value) { return value.is_bool() && value.truth(); }
bool is_false(const Value& value) { return value.is_bool() && !value.truth(); }
bool is_integer(const Value& value) { return value.is_int(); }
bool is_float(const Value& value) { return value.is_float(); }
bool is_number(const Value& value) { return value.is_number(); }
bool is_string(const Value& value) { return value.is_text(); }
bool is_mapping(const Value& value) { return value.is_dict(); }
bool is_escaped(const Value&) { return false; }
// Undefined counts as both: it has a length and can be gone over.
bool is_sequence(const Value& value) {
  return value.is_undefined() || value.is_text() || value.is_dict() || (value.is_list() && value.list().kind != List::Kind::kView);
}
bool is_iterable(const Value& value) {
  return value.is_undefined() || value.is_text() || value.is_dict() || value.is_list() ||
         dynamic_cast<Generator*>(value.object()) != nullptr;
}
bool is_callable(const Value& value) { return value.is_undefined() || (value.object() != nullptr && value.object()->callable()); }
bool is_lower(const Value& value) {
  const std::string text = to_text(value);
  return lower(text) == text && upper(text) != text;
}
bool is_upper(const Value& value) {
  const std::string text = to_text(value);
  return upper(text) == text && lower(text) != text;
}

// Whether dividing by `divisor` leaves `rest`.
bool leaves(Interpreter& interpreter, const Value& value, const Value& divisor, std::int64_t rest) {
  return equal(binary("%", value, divisor, interpreter.budget()), rest);
}

Value run_even(Interpreter& interpreter, Bound& a) { return leaves(interpreter, a[0], 2, 0); }
Value run_odd(Interpreter& interpreter, Bound& a) { return leaves(interpreter, a[0], 2, 1); }
Value run_divisibleby(Interpreter& interpreter, Bound& a) { return leaves(interpreter, a[0], a[1], 0); }

// Python's `is` for what a template can hold: the same kind and, of what has no identity here, the same value.
Value run_sameas(Interpreter&, Bound& a) { return a[0].type_name() == a[1].type_name() && equal(a[0], a[1]); }
Value run_filter(Interpreter&, Bound& a) { return a[0].is_text() && find_filter(a[0].text()) != nullptr; }
Value run_test(Interpreter&, Bound& a) { return a[0].is_text() && find_builtin(tests(), a[0].text()) != nullptr; }

struct Op {
  static constexpr char kEqual[] = "==", kUnequal[] = "!=", kLess[] = "<", kLessEqual[] = "<=", kGreater[] = ">",
                        kGreaterEqual[] = ">=", kIn[] = "in";
};

template <const char* op>
Value run_compare(Interpreter& interpreter, Bound& a) {
  return compare(op, a[0], a[1], interpreter.budget());
}

constexpr Builtin kTests[] = {
    {"defined", "value", run<is_defined>},
    {"undefined", "value", run<is_undefined>},
    {"none", "value", run<is_none>},
    {"boolean", "value", run<is_boolean>},
    {"true", "value", run<is_true>},
    {"false", "value", run<is_false>},
    {"integer", "value", run<is_integer>},
    {"float", "value", run<is_float>},
    {"number", "value", run<is_number>},
    {"string", "value", run<is_string>},
    {"mapping", "value", run<is_mapping>},
    {"sequence", "value", run<is_sequence>},
    {"iterable", "value", run<is_iterable>},
    {"callable", "value", run<is_callable>},
    {"escaped", "value", run<is_escaped>},
    {"lower", "value", run<is_lower>},
    {"upper", "value", run<is_upper>},
    {"even", "value", run_even},
    {"odd", "value", run_odd},
    {"divisibleby", "value num", run_divisibleby},
    {"sameas", "value other", run_sameas},
    {"filter", "value", run_filter},
    {"test", "value", run_test},
    {"eq", "value other", run_compare<Op::kEqual>},
    {"equalto", "value other", run_compare<Op::kEqual>},
    {"==", "value other", run_compare<Op::kEqual>},
    {"ne", "value other", run_compare<Op::kUnequal>},
    {"!=", "value other", run_compare<Op::kUnequal>},
    {"lt", "value other", run_compare<Op::kLess>},
    {"lessthan", "value other", run_compare<Op::kLess>},
    {"<", "value other", run_compare<Op::kLess>},
    {"le", "value other", run_compare<Op::kLessEqual>},
    {"<=", "value other", run_compare<Op::kLessEqual>},
    {"gt", "value other", run_compare<Op::kGreater>},
    {"greaterthan", "value other", run_compare<Op::kGreater>},
    {">", "value other", run_compare<Op::kGreater>},
    {"ge", "value other", run_compare<Op::kGreaterEqual>},
    {">=", "value other", run_compare<Op::kGreaterEqual>},
    {"in", "value seq", run_compare<Op::kIn>},
};

}  // namespace

std::span<const Builtin> tests() { return kTests; }

}  // namespace sluice::text::jinja
