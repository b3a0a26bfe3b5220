// JSON by nlohmann, with our errors (file and line) and our one output form (ASCII, one line).
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace sluice {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;  // keeps the order of keys, for rows that people read

// Parses `text`; an Error names `where` ("file:line") and what is wrong.
Json parse_json(std::string_view text, const std::string& where);
OrderedJson parse_ordered_json(std::string_view text, const std::string& where);

// One line, non-ASCII characters as \u escapes, floats in full precision.
std::string dump_json(const Json& value);
std::string dump_json(const OrderedJson& value);

}  // namespace sluice
