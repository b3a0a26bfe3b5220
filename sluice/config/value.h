// A setting's value as a recipe or the command line gives it, and how it becomes a typed field.
#pragma once
#include <array>
#include <charconv>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "sluice/base/error.h"
#include "sluice/base/nearest.h"

namespace sluice::config {

// A scalar or a list of scalars, as written; typed only when it meets its field.
struct Value {
  std::vector<std::string> items;
  bool is_list = false;
  bool is_null = false;  // `key:` or `key: null`: an optional field becomes empty, any other keeps its default
};

// One `key: value` and the place it came from ("recipe.yaml:12" or "command line").
struct Setting {
  std::string key;  // dotted: optimizer.lr
  Value value;
  std::string where;
};

// An enum usable in a config has `constexpr std::array<std::string_view, N> names(E)` beside it: its values' names, in order.
template <class E>
concept NamedEnum = std::is_enum_v<E> && requires(E e) { names(e); };

// Reads `text` into `out`; on failure returns what would have been right ("a whole number", "fp32 or bf16"), else an empty string.
std::string parse_scalar(std::string_view text, std::string& out);
std::string parse_scalar(std::string_view text, bool& out);
std::string parse_scalar(std::string_view text, std::int64_t& out);
std::string parse_scalar(std::string_view text, double& out);
template <NamedEnum E>
std::string parse_scalar(std::string_view text, E& out) {
  const auto all = names(E{});
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i] != text) continue;
    out = static_cast<E>(i);
    return "";
  }
  return join_or({all.begin(), all.end()});
}

template <class T>
std::string parse_value(const Value& value, T& out) {
  if (value.is_null) return "";
  if (!value.is_list) return parse_scalar(value.items.at(0), out);
  T ignored{};
  const std::string kind = parse_scalar("", ignored);  // what would have been right
  return "one value" + (kind.empty() ? "" : ", " + kind);
}
template <class T>
std::string parse_value(const Value& value, std::optional<T>& out) {
  out.reset();
  if (value.is_null) return "";
  return parse_value(value, out.emplace());
}
template <class T>
std::string parse_value(const Value& value, std::vector<T>& out) {
  out.clear();
  if (value.is_null) return "";
  for (const std::string& item : value.items) {
    if (std::string expected = parse_scalar(item, out.emplace_back()); !expected.empty()) return "a list of " + expected;
  }
  return "";
}

// 'text', or [a, b]: a value as a message shows it.
std::string as_written(const Value& value);

// The shortest text that reads back as the same value.
std::string format(const std::string& value);
std::string format(bool value);
std::string format(std::int64_t value);
std::string format(double value);
template <NamedEnum E>
std::string format(E value) {
  return std::string(names(value)[static_cast<std::size_t>(value)]);
}
template <class T>
std::string format(const std::optional<T>& value) {
  return value ? format(*value) : "null";
}
template <class T>
std::string format(const std::vector<T>& value) {
  std::string out = "[";
  for (std::size_t i = 0; i < value.size(); ++i) out += (i ? ", " : "") + format(static_cast<const T&>(value[i]));
  return out + "]";
}

}  // namespace sluice::config
