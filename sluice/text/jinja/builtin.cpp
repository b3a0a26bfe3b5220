#include "sluice/text/jinja/builtin.h"

#include <algorithm>
#include <sstream>

namespace sluice::text::jinja {

Bound::Bound(const std::string& what, std::string_view parameters, Arguments arguments) : what_(what) {
  std::istringstream words{std::string(parameters)};
  std::vector<bool> optional;
  bool takes_more = false, takes_named = false;
  for (std::string word; words >> word;) {
    if (word == "*")
      takes_more = true;
    else if (word == "**")
      takes_named = true;
    else {
      optional.push_back(word.ends_with('?'));
      if (optional.back()) word.pop_back();
      names_.push_back(word);
    }
  }
  values_.resize(names_.size());
  given_.resize(names_.size());
  for (std::size_t i = 0; i < arguments.positional.size(); ++i) {
    if (i < names_.size()) {
      values_[i] = std::move(arguments.positional[i]);
      given_[i] = true;
    } else if (takes_more) {
      rest_.positional.push_back(std::move(arguments.positional[i]));
    } else {
      throw Fault("gives " + what_ + " more arguments than it takes");
    }
  }
  for (auto& [name, value] : arguments.named) {
    const auto place = static_cast<std::size_t>(std::ranges::find(names_, name) - names_.begin());
    if (place == names_.size()) {
      if (!takes_named) throw Fault("gives " + what_ + " an argument '" + name + "', which it does not take");
      rest_.named.emplace_back(name, std::move(value));
      continue;
    }
    if (given_[place]) throw Fault("gives " + what_ + " the argument '" + name + "' twice");
    values_[place] = std::move(value);
    given_[place] = true;
  }
  for (std::size_t i = 0; i < names_.size(); ++i) {
    if (!given_[i] && !optional[i]) throw Fault("calls " + what_ + " without the argument '" + names_[i] + "'");
  }
}

std::optional<Value> Bound::value(std::size_t parameter) const {
  return !has(parameter) || values_[parameter].is_none() ? std::nullopt : std::optional(values_[parameter]);
}

std::string Bound::text(std::size_t parameter) const {
  if (values_[parameter].is_undefined()) throw Fault(values_[parameter].undefined_reason());
  if (!values_[parameter].is_text())
    throw Fault("gives " + what_ + " a " + values_[parameter].type_name() + " as '" + names_[parameter] + "', which must be a str");
  return values_[parameter].text();
}

std::string Bound::text_or(std::size_t parameter, const std::string& fallback) const {
  return value(parameter) ? text(parameter) : fallback;
}

std::int64_t Bound::integer(std::size_t parameter) const {
  if (values_[parameter].is_undefined()) throw Fault(values_[parameter].undefined_reason());
  if (!values_[parameter].integer())
    throw Fault("gives " + what_ + " a " + values_[parameter].type_name() + " as '" + names_[parameter] + "', which must be an int");
  return *values_[parameter].integer();
}

std::int64_t Bound::integer_or(std::size_t parameter, std::int64_t fallback) const {
  return value(parameter) ? integer(parameter) : fallback;
}

const Builtin* find_builtin(std::span<const Builtin> table, std::string_view name) {
  const auto row = std::ranges::find_if(table, [&](const Builtin& builtin) { return builtin.name == name; });
  return row == table.end() ? nullptr : &*row;
}

const Builtin* find_filter(std::string_view name) {
  for (const auto table : {text_filters(), sequence_filters(), grouping_filters(), selecting_filters(), number_filters()}) {
    if (const Builtin* found = find_builtin(table, name)) return found;
  }
  return nullptr;
}

std::vector<std::string> filter_names() {
  std::vector<std::string> names;
  for (const auto table : {text_filters(), sequence_filters(), grouping_filters(), selecting_filters(), number_filters()}) {
    for (const Builtin& builtin : table) names.emplace_back(builtin.name);
  }
  return names;
}

const Builtin* find_method(const Value& value, std::string_view name) {
  if (value.is_text()) return find_builtin(text_methods(), name);
  if (value.is_dict()) return find_builtin(dict_methods(), name);
  if (value.is_list() && value.list().kind != List::Kind::kView) return find_builtin(list_methods(), name);
  return nullptr;
}

}  // namespace sluice::text::jinja
