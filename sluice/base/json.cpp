#include "sluice/base/json.h"

#include <algorithm>

#include "sluice/base/error.h"

namespace sluice {
namespace {

// The library's words without its error number. It quotes what it read last: of any length, and with the bytes that are no UTF-8.
std::string reason(std::string why) {
  if (const auto bracket = why.find("] "); bracket != std::string::npos) why = why.substr(bracket + 2);
  constexpr std::size_t kLongest = 200;
  if (why.size() > kLongest) why = why.substr(0, kLongest) + "...";
  std::replace_if(why.begin(), why.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return why;
}

template <class J>
J parse(std::string_view text, const std::string& where) {
  try {
    return J::parse(text);
  } catch (const nlohmann::json::exception& e) {
    throw Error(where + ": not valid JSON: " + reason(e.what()), "mend or remove that line or file");
  }
}

}  // namespace

Json parse_json(std::string_view text, const std::string& where) { return parse<Json>(text, where); }
OrderedJson parse_ordered_json(std::string_view text, const std::string& where) { return parse<OrderedJson>(text, where); }
// Invalid UTF-8 (cut by truncation, say) becomes U+FFFD rather than an exception.
std::string dump_json(const Json& value) { return value.dump(-1, ' ', true, Json::error_handler_t::replace); }
std::string dump_json(const OrderedJson& value) { return value.dump(-1, ' ', true, OrderedJson::error_handler_t::replace); }

}  // namespace sluice
