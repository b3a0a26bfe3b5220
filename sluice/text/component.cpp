#include "sluice/text/component.h"

#include "sluice/text/regex.h"
#include "sluice/text/utf8.h"

namespace sluice::text {
namespace {
constexpr int kMaxDepth = 32;
}

ComponentSpec::ComponentSpec(const Json& json, std::string where, int depth) : json_(&json), where_(std::move(where)), depth_(depth) {
  if (!json.is_object()) fail("must be a JSON object, not " + std::string(json.type_name()), "mend the tokenizer file");
  if (depth > kMaxDepth) fail("is nested more than " + std::to_string(kMaxDepth) + " deep", "flatten the sequences");
}

bool ComponentSpec::has(const char* key) const {
  const auto found = json_->find(key);
  return found != json_->end() && !found->is_null();
}

const Json& ComponentSpec::value(const char* key) const {
  const auto found = json_->find(key);
  if (found == json_->end()) fail("lacks \"" + std::string(key) + "\"", "use a whole tokenizer file");
  return *found;
}

std::string ComponentSpec::text(const char* key) const {
  if (!value(key).is_string()) fail_kind(key, "a string");
  return value(key).get<std::string>();
}

std::string ComponentSpec::text_or(const char* key, const std::string& fallback) const { return has(key) ? text(key) : fallback; }

char32_t ComponentSpec::character(const char* key) const {
  const std::string string = text(key);
  if (string.empty() || utf8_at(string, 0).length != string.size()) fail_kind(key, "a string of one character");
  return utf8_at(string, 0).code;
}

bool ComponentSpec::flag_or(const char* key, bool fallback) const {
  if (!has(key)) return fallback;
  if (!value(key).is_boolean()) fail_kind(key, "true or false");
  return value(key).get<bool>();
}

std::int64_t ComponentSpec::integer(const char* key) const {
  const Json& number = value(key);
  if (!number.is_number_integer() || (number.is_number_unsigned() && number.get<std::uint64_t>() > INT64_MAX)) fail_kind(key, "an integer");
  return number.get<std::int64_t>();
}

std::string ComponentSpec::place_of(const char* key) const { return where_ + (depth_ == 0 ? ": " : ".") + key; }

ComponentSpec ComponentSpec::child(const char* key) const { return {value(key), place_of(key), depth_ + 1}; }

std::vector<ComponentSpec> ComponentSpec::children(const char* key) const {
  const Json& array = value(key);
  if (!array.is_array()) fail_kind(key, "an array");
  std::vector<ComponentSpec> out;
  for (std::size_t i = 0; i < array.size(); ++i) {
    out.emplace_back(array[i], place_of(key) + "[" + std::to_string(i) + "]", depth_ + 1);
  }
  return out;
}

void ComponentSpec::fail(const std::string& what, const std::string& remedy) const { throw Error(where_ + " " + what, remedy); }

void ComponentSpec::fail_kind(const char* key, const std::string& wanted) const {
  std::string shown = dump_json(value(key));
  if (shown.size() > 60) shown = shown.substr(0, 60) + "...";
  fail("has \"" + std::string(key) + "\": " + shown + ", which must be " + wanted, "mend the tokenizer file");
}

std::string pattern_source(const ComponentSpec& spec) {
  if (spec.has("Regex")) return spec.text("Regex");
  if (spec.has("String")) return quote_pattern(spec.text("String"));
  spec.fail("is neither {\"Regex\": ...} nor {\"String\": ...}", "mend the tokenizer file");
}

}  // namespace sluice::text
