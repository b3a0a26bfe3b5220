#include "sluice/base/json.h"

#include "sluice/base/error.h"

namespace sluice {
namespace {

template <class J>
J parse(std::string_view text, const std::string& where) {
  try {
    return J::parse(text);
  } catch (const nlohmann::json::exception& e) {
    std::string why = e.what();
    if (const auto bracket = why.find("] "); bracket != std::string::npos) why = why.substr(bracket + 2);  // drops the library's own error number
    throw Error(where + ": not valid JSON: " + why, "mend or remove that line or file");
  }
}

}  // namespace

Json parse_json(std::string_view text, const std::string& where) { return parse<Json>(text, where); }
OrderedJson parse_ordered_json(std::string_view text, const std::string& where) { return parse<OrderedJson>(text, where); }
// Invalid UTF-8 (cut by truncation, say) becomes U+FFFD rather than an exception.
std::string dump_json(const Json& value) { return value.dump(-1, ' ', true, Json::error_handler_t::replace); }
std::string dump_json(const OrderedJson& value) { return value.dump(-1, ' ', true, OrderedJson::error_handler_t::replace); }

}  // namespace sluice
