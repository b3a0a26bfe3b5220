#include "sluice/text/jinja/operators.h"

#include <algorithm>
#include <cmath>

#include "sluice/text/utf8.h"

namespace sluice::text::jinja {
namespace {

[[noreturn]] void fail_types(std::string_view op, const Value& left, const Value& right) {
  if (left.is_undefined()) throw Fault(left.undefined_reason());
  if (right.is_undefined()) throw Fault(right.undefined_reason());
  throw Fault("uses '" + std::string(op) + "' on a " + left.type_name() + " and a " + right.type_name());
}

[[noreturn]] void fail_overflow() { throw Fault("computes an integer of more than 64 bits"); }
[[noreturn]] void fail_zero() { throw Fault("divides by zero"); }

std::int64_t floor_division(std::int64_t a, std::int64_t b) {
  if (b == 0) fail_zero();
  if (a == INT64_MIN && b == -1) fail_overflow();
  return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}

std::int64_t integer_power(std::int64_t base, std::int64_t exponent) {
  std::int64_t out = 1;
  for (;;) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(out, base, &out)) fail_overflow();
    exponent >>= 1;
    if (exponent == 0) return out;
    if (__builtin_mul_overflow(base, base, &base)) fail_overflow();
  }
}

Value integers(std::string_view op, std::int64_t a, std::int64_t b) {
  std::int64_t out = 0;
  bool overflows = false;
  if (op == "+") overflows = __builtin_add_overflow(a, b, &out);
  if (op == "-") overflows = __builtin_sub_overflow(a, b, &out);
  if (op == "*") overflows = __builtin_mul_overflow(a, b, &out);
  if (overflows) fail_overflow();
  if (op == "+" || op == "-" || op == "*") return out;
  if (op == "//") return floor_division(a, b);
  if (op == "%") return b == -1 ? 0 : a - floor_division(a, b) * b;
  if (op == "**") return b >= 0 ? Value(integer_power(a, b)) : Value(std::pow(static_cast<double>(a), static_cast<double>(b)));
  if (b == 0) fail_zero();
  return static_cast<double>(a) / static_cast<double>(b);
}

Value floats(std::string_view op, double a, double b) {
  if (op == "+") return a + b;
  if (op == "-") return a - b;
  if (op == "*") return a * b;
  if (op == "**") return std::pow(a, b);
  if (b == 0) fail_zero();
  if (op == "/") return a / b;
  if (op == "//") return std::floor(a / b);
  const double rest = std::fmod(a, b);
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

bool can_join(const Value& value) { return value.is_list() && value.list().kind <= List::Kind::kTuple; }

Value repeated(const Value& sequence, std::int64_t count, Budget& budget) {
  const auto times = static_cast<std::uint64_t>(std::max<std::int64_t>(count, 0));
  const std::uint64_t size = sequence.is_text() ? sequence.text().size() : sequence.list().items.size();
  if (times > 0 && size > kMaxWork * 8 / times) throw Fault("repeats a " + sequence.type_name() + " to more than the limit");
  if (sequence.is_text()) {
    budget.charge_text(size * times);
    std::string out;
    for (std::uint64_t i = 0; i < times && size > 0; ++i) out += sequence.text();
    return out;
  }
  budget.charge(size * times);
  std::vector<Value> out;
  for (std::uint64_t i = 0; i < times && size > 0; ++i) out.insert(out.end(), sequence.list().items.begin(), sequence.list().items.end());
  return make_list(std::move(out), sequence.list().kind);
}

Value joined(const Value& left, const Value& right, Budget& budget) {
  if (left.is_text()) {
    budget.charge_text(left.text().size() + right.text().size());
    return left.text() + right.text();
  }
  std::vector<Value> items = left.list().items;
  budget.charge(items.size() + right.list().items.size());
  items.insert(items.end(), right.list().items.begin(), right.list().items.end());
  return make_list(std::move(items), left.list().kind);
}

bool contains(const Value& container, const Value& value, Budget& budget) {
  if (container.is_text()) {
    if (!value.is_text()) fail_types("in", value, container);
    budget.charge_text(container.text().size());
    return container.text().find(value.text()) != std::string::npos;
  }
  const bool no_key = value.is_dict() || (value.is_list() && value.list().kind != List::Kind::kTuple);
  if (container.is_dict() && no_key) throw Fault("looks for a " + value.type_name() + " among the keys of a dict");
  if (container.is_dict()) return container.dict().find(value) != nullptr;
  const std::vector<Value> items = items_of(container);
  budget.charge(items.size() + container.weight());
  return std::ranges::any_of(items, [&](const Value& item) { return equal(item, value); });
}

}  // namespace

Value binary(std::string_view op, const Value& left, const Value& right, Budget& budget) {
  if (left.is_number() && right.is_number()) {
    return left.is_float() || right.is_float() ? floats(op, *left.number(), *right.number())
                                               : integers(op, *left.integer(), *right.integer());
  }
  if (op == "+" && left.is_text() && right.is_text()) return joined(left, right, budget);
  if (op == "+" && can_join(left) && can_join(right) && left.list().kind == right.list().kind) return joined(left, right, budget);
  if (op == "*" && (left.is_text() || can_join(left)) && right.integer()) return repeated(left, *right.integer(), budget);
  if (op == "*" && (right.is_text() || can_join(right)) && left.integer()) return repeated(right, *left.integer(), budget);
  if (op == "%" && left.is_text() && !right.is_undefined()) {
    budget.charge(left.weight() + right.weight());
    std::string out = percent_format(left.text(), right);
    budget.charge_text(out.size());
    return out;
  }
  fail_types(op, left, right);
}

Value signed_value(char sign, const Value& value) {
  if (value.is_undefined()) throw Fault(value.undefined_reason());
  if (!value.is_number()) throw Fault("puts '" + std::string(1, sign) + "' before a " + value.type_name());
  if (value.is_float()) return sign == '-' ? -*value.number() : *value.number();
  if (sign == '-' && *value.integer() == INT64_MIN) fail_overflow();
  return sign == '-' ? -*value.integer() : *value.integer();
}

bool compare(std::string_view op, const Value& left, const Value& right, Budget& budget) {
  if (op == "in") return contains(right, left, budget);
  if (op == "not in") return !contains(right, left, budget);
  budget.charge(std::min(left.weight(), right.weight()));
  if (op == "==") return equal(left, right);
  if (op == "!=") return !equal(left, right);
  if (op == "<") return less(left, right);
  if (op == ">") return less(right, left);
  return op == "<=" ? less(left, right) || equal(left, right) : less(right, left) || equal(left, right);
}

std::optional<Value> item_of(const Value& value, const Value& index) {
  if (value.is_dict()) {
    const Value* found = value.dict().find(index);
    return found == nullptr ? std::nullopt : std::optional(*found);
  }
  const auto number = index.integer();
  if (!number || !(value.is_text() || value.is_list()) || (value.is_list() && value.list().kind == List::Kind::kView)) return std::nullopt;
  const auto length = static_cast<std::int64_t>(length_of(value));
  const std::int64_t at = *number < 0 ? *number + length : *number;
  if (at < 0 || at >= length) return std::nullopt;
  if (value.is_list()) return value.list().items[static_cast<std::size_t>(at)];
  std::size_t byte = 0;
  for (std::int64_t i = 0; i < at; ++i) byte += utf8_at(value.text(), byte).length;
  return value.text().substr(byte, utf8_at(value.text(), byte).length);
}

Value slice_of(const Value& value, const Value& begin, const Value& end, const Value& step, Budget& budget) {
  if (value.is_undefined()) throw Fault(value.undefined_reason());
  if (!(value.is_text() || value.is_list()) || (value.is_list() && value.list().kind == List::Kind::kView))
    throw Fault("takes a slice of a " + value.type_name());
  for (const Value& bound : {begin, end, step}) {
    if (!bound.is_none() && !bound.integer()) throw Fault("has a slice with a " + bound.type_name() + " as a bound");
  }
  const std::vector<Value> items = items_of(value);
  budget.charge(items.size());
  const auto length = static_cast<std::int64_t>(items.size());
  const std::int64_t stride = step.is_none() ? 1 : *step.integer();
  if (stride == 0) throw Fault("has a slice with step 0");
  const std::int64_t low = stride > 0 ? 0 : -1, high = stride > 0 ? length : length - 1;
  const auto bound = [&](const Value& given, std::int64_t fallback) {
    if (given.is_none()) return fallback;
    const std::int64_t at = *given.integer();
    return std::clamp(at < 0 ? std::max(at, -length - 1) + length : at, low, high);
  };
  const std::int64_t first = bound(begin, stride > 0 ? low : high), last = bound(end, stride > 0 ? high : low);
  std::vector<Value> out;
  for (std::int64_t at = first; stride > 0 ? at < last : at > last;) {
    out.push_back(items[static_cast<std::size_t>(at)]);
    if (__builtin_add_overflow(at, stride, &at)) break;
  }
  if (value.is_list()) return make_list(std::move(out), value.list().kind);
  std::string text;
  for (const Value& character : out) text += character.text();
  return text;
}

}  // namespace sluice::text::jinja
