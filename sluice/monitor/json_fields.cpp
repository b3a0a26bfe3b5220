#include "sluice/monitor/json_fields.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "sluice/base/error.h"

namespace sluice::monitor {
namespace {

double number_or_nan(const Json& value) { return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>(); }

bool is_number_or_null(const Json& value) { return value.is_number() || value.is_null(); }

}  // namespace

JsonFields::JsonFields(const Json& value, std::string where, std::string remedy)
    : value_(value), where_(std::move(where)), remedy_(std::move(remedy)) {
  if (!value.is_object()) throw Error(where_ + ": not a JSON object", remedy_);
}

void JsonFields::fail(const char* key, const char* expected) const {
  const auto found = value_.find(key);
  const std::string what = found == value_.end() ? "is missing" : "is " + dump_json(*found).substr(0, 60);
  throw Error(where_ + ": \"" + key + "\" " + what + ", not " + expected, remedy_);
}

bool JsonFields::has(const char* key) const {
  const auto found = value_.find(key);
  return found != value_.end() && !found->is_null();
}

const Json& JsonFields::at(const char* key) const {
  const auto found = value_.find(key);
  if (found == value_.end()) fail(key, "a value");
  return *found;
}

std::string JsonFields::text(const char* key) const {
  const auto found = value_.find(key);
  if (found == value_.end() || !found->is_string()) fail(key, "a text");
  return found->get<std::string>();
}

std::int64_t JsonFields::integer(const char* key) const {
  const auto found = value_.find(key);
  if (found == value_.end() || !found->is_number_integer()) fail(key, "a whole number");
  return found->get<std::int64_t>();
}

bool JsonFields::flag(const char* key) const {
  const auto found = value_.find(key);
  if (found == value_.end() || !found->is_boolean()) fail(key, "true or false");
  return found->get<bool>();
}

double JsonFields::number(const char* key) const {
  const auto found = value_.find(key);
  if (found == value_.end() || !is_number_or_null(*found)) fail(key, "a number");
  return number_or_nan(*found);
}

std::vector<std::string> JsonFields::texts(const char* key) const {
  const Json& list = at(key);
  if (!list.is_array()) fail(key, "a list of texts");
  std::vector<std::string> out;
  for (const Json& item : list) {
    if (!item.is_string()) fail(key, "a list of texts");
    out.push_back(item.get<std::string>());
  }
  return out;
}

std::vector<double> JsonFields::numbers(const char* key) const {
  const Json& items = at(key);
  if (!items.is_array() || !std::ranges::all_of(items, is_number_or_null)) fail(key, "numbers");
  std::vector<double> out;
  for (const Json& item : items) out.push_back(number_or_nan(item));
  return out;
}

std::vector<std::vector<double>> JsonFields::matrix(const char* key) const {
  const Json& rows = at(key);
  if (!rows.is_array()) fail(key, "rows of numbers");
  std::vector<std::vector<double>> out;
  for (const Json& row : rows) {
    if (!row.is_array()) fail(key, "rows of numbers");
    out.emplace_back();
    for (const Json& item : row) {
      if (!is_number_or_null(item)) fail(key, "rows of numbers");
      out.back().push_back(number_or_nan(item));
    }
  }
  return out;
}

}  // namespace sluice::monitor
