// Filters that make and change numbers.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "sluice/text/jinja/characters.h"
#include "sluice/text/jinja/interpreter.h"
#include "sluice/text/jinja/operators.h"

namespace sluice::text::jinja {
namespace {

// Without white space around it, the underscores between digits and a leading '+'; nothing where an underscore stands elsewhere.
std::optional<std::string> plain_number(std::string_view text) {
  text = text.substr(leading_space(text));
  text = text.substr(0, trailing_space(text));
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto digit = [&](std::size_t at) { return at < text.size() && std::isalnum(static_cast<unsigned char>(text[at])) != 0; };
    if (text[i] != '_')
      out += text[i];
    else if (i == 0 || !digit(i - 1) || !digit(i + 1))
      return std::nullopt;
  }
  return out;
}

std::optional<double> parsed_float(std::string_view text) {
  const auto digits = plain_number(text);
  if (!digits || digits->find_first_of("()") != std::string::npos) return std::nullopt;
  double number = 0;
  const char *first = digits->data(), *last = first + digits->size();
  const auto [end, error] = std::from_chars(first, last, number);
  if (end != last || first == last) return std::nullopt;
  if (error == std::errc::result_out_of_range) throw Fault("reads the number " + *digits + ", which is out of a float's range");
  return number;
}

std::optional<std::int64_t> parsed_integer(std::string_view text, int base) {
  auto digits = plain_number(text);
  if (!digits) return std::nullopt;
  const bool negative = digits->starts_with('-');
  std::string_view body = std::string_view(*digits).substr(negative ? 1 : 0);
  if (body.size() > 2 && body[0] == '0') {
    const char marker = static_cast<char>(body[1] | 0x20);
    const int marked = marker == 'x' ? 16 : marker == 'o' ? 8 : marker == 'b' ? 2 : 0;
    if (marked != 0 && (base == marked || base == 0)) {
      base = marked;
      body.remove_prefix(2);
    }
  }
  if (body.empty() || body[0] == '-') return std::nullopt;
  const std::string whole = (negative ? "-" : "") + std::string(body);
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(whole.data(), whole.data() + whole.size(), number, base == 0 ? 10 : base);
  if (end != whole.data() + whole.size()) return std::nullopt;
  if (error != std::errc()) throw Fault("reads the integer " + whole + ", which has more than 64 bits");
  return number;
}

std::optional<std::int64_t> truncated(double number) {
  if (!std::isfinite(number)) return std::nullopt;
  if (std::abs(number) >= 9.2e18) throw Fault("makes an integer of more than 64 bits");
  return static_cast<std::int64_t>(number);
}

Value run_int(Interpreter&, Bound& a) {
  const Value fallback = a.has(1) ? a[1] : Value(0);
  if (a[0].is_undefined()) throw Fault(a[0].undefined_reason());
  if (const auto whole = a[0].integer()) return *whole;
  const std::int64_t base = a.integer_or(2, 10);
  if (base != 0 && (base < 2 || base > 36)) throw Fault("reads an integer in base " + std::to_string(base));
  std::optional<double> number = a[0].number();
  if (a[0].is_text()) {
    if (const auto whole = parsed_integer(a[0].text(), static_cast<int>(base))) return *whole;
    number = parsed_float(a[0].text());  // "42.23" is 42
  }
  const auto whole = number ? truncated(*number) : std::nullopt;
  return whole ? Value(*whole) : fallback;
}

Value run_float(Interpreter&, Bound& a) {
  if (a[0].is_undefined()) throw Fault(a[0].undefined_reason());
  const auto number = a[0].is_text() ? parsed_float(a[0].text()) : a[0].number();
  return number ? Value(*number) : a.has(1) ? a[1] : Value(0.0);
}

Value run_abs(Interpreter&, Bound& a) {
  if (!a[0].is_number()) signed_value('-', a[0]);  // for its error
  if (a[0].is_float()) return std::abs(*a[0].number());
  return *a[0].integer() < 0 ? signed_value('-', a[0]) : Value(*a[0].integer());
}

// The nearest multiple of 10^digits, of two the even one.
double rounded_to_tens(double number, int digits) {
  const double unit = std::pow(10.0, digits), rest = std::fmod(number, unit), below = number - rest;  // fmod is exact, as are units up to 10^22
  const bool is_odd = std::fmod(below / unit, 2.0) != 0;
  const bool away = std::abs(rest) > unit / 2 || (std::abs(rest) == unit / 2 && is_odd);
  return below + (away ? std::copysign(unit, number) : 0.0);
}

Value run_round(Interpreter&, Bound& a) {
  const std::int64_t precision = a.integer_or(1, 0);
  const std::string method = a.text_or(2, "common");
  if (!a[0].is_number()) signed_value('-', a[0]);  // for its error
  if (method != "common" && method != "ceil" && method != "floor") throw Fault("rounds by '" + method + "'; use common, ceil or floor");
  if (precision < -15 || precision > 300) throw Fault("rounds to " + std::to_string(precision) + " digits, which is not supported");
  const double number = *a[0].number();
  if (method != "common") {
    const double scale = std::pow(10.0, static_cast<double>(precision));
    return (method == "ceil" ? std::ceil(number * scale) : std::floor(number * scale)) / scale;
  }
  if (!a[0].is_float()) {
    if (precision >= 0) return *a[0].integer();
    if (std::abs(number) > 0x1p53) throw Fault("rounds an integer of more than 53 bits to tens, which is not supported");
    return static_cast<std::int64_t>(rounded_to_tens(number, static_cast<int>(-precision)));
  }
  if (!std::isfinite(number)) return number;
  if (precision < 0) return rounded_to_tens(number, static_cast<int>(-precision));
  char digits[700];  // rounds the exact number, a half to even, as Python does
  std::snprintf(digits, sizeof digits, "%.*f", static_cast<int>(precision), number);
  return std::strtod(digits, nullptr);
}

constexpr Builtin kFilters[] = {
    {"int", "value default? base?", run_int},
    {"float", "value default?", run_float},
    {"abs", "x", run_abs},
    {"round", "value precision? method?", run_round},
};

}  // namespace

std::span<const Builtin> number_filters() { return kFilters; }

}  // namespace sluice::text::jinja
