// A line of a JSONL file as an object.
#include <algorithm>
#include <optional>
#include <vector>

#include "sluice/base/error.h"
#include "sluice/data/formats.h"
#include "sluice/data/json_row.h"
#include "sluice/data/json_scanner.h"

namespace sluice::data {
namespace {

// The keys at the top of `line`, a JSON object, as written, quotes included; nothing where the scanner cannot follow it.
std::optional<std::vector<std::string_view>> top_keys(std::string_view line) {
  std::vector<std::string_view> keys;
  JsonScanner scanner(line);
  scanner.skip_space();
  if (!scanner.take('{')) return std::nullopt;
  scanner.skip_space();
  for (bool more = !scanner.take('}'); more;) {
    const std::size_t begin = scanner.position();
    if (!scanner.skip_string()) return std::nullopt;
    keys.push_back(line.substr(begin, scanner.position() - begin));
    scanner.skip_space();
    if (!scanner.take(':')) return std::nullopt;
    scanner.skip_space();
    if (!scanner.skip_value()) return std::nullopt;
    scanner.skip_space();
    more = scanner.take(',');
    scanner.skip_space();
  }
  return keys;
}

std::string first_repeated(const std::vector<std::string_view>& keys) {
  std::vector<std::string> seen;
  std::string name;
  for (const std::string_view key : keys) {
    name.clear();
    decode_string(key, name);
    if (std::ranges::find(seen, name) != seen.end()) break;
    seen.push_back(name);
  }
  SLUICE_CHECK(seen.size() < keys.size(), "an object has fewer members than keys, and no key twice");
  return name;
}

}  // namespace

std::string kind_of(const Json& value) {
  if (value.is_number_float()) return "a number with a fraction";
  if (value.is_number()) return "a number";
  if (value.is_boolean()) return "true or false";
  return value.is_null() ? "null" : (value.is_array() || value.is_object() ? "an " : "a ") + std::string(value.type_name());
}

Json parse_row_object(std::string_view line, const std::string& where) {
  Json row = parse_json(line, where);
  if (!row.is_object()) throw Error(where + ": the line is " + kind_of(row) + ", not an object", "write one JSON object {...} a line (JSONL)");
  // The parser keeps the last of two equal keys, so the object is smaller than the line. The scan costs a tenth of the parsing.
  if (line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
  const auto keys = top_keys(line);
  if (!keys) throw Error(where + ": the row is nested more than 512 deep", "mend or remove that line");
  if (keys->size() != row.size()) throw Error(where + ": the row names " + dump_json(Json(first_repeated(*keys))) + " twice", "keep one of the two members");
  return row;
}

}  // namespace sluice::data
