#include "sluice/checkpoint/strict_json.h"

#include <set>
#include <vector>

#include "sluice/base/error.h"

namespace sluice::checkpoint {

Json parse_strict_json(std::string_view text, const std::string& where) {
  constexpr std::size_t kMaxDepth = 8;
  const std::string remedy = "write the file again, or copy or download it again";
  // nlohmann takes a NUL byte for the end of its input; whatever follows would go unread.
  if (text.find('\0') != std::string_view::npos) throw Error(where + ": not valid JSON: holds a NUL byte", remedy);
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  std::size_t depth = 0;
  const auto watch = [&](int, Json::parse_event_t event, Json& parsed) {
    using Event = Json::parse_event_t;
    if (event == Event::object_start || event == Event::array_start) {
      if (++depth > kMaxDepth) throw Error(where + ": nested deeper than " + std::to_string(kMaxDepth) + " levels", remedy);
      if (event == Event::object_start) keys.emplace_back();
    } else if (event == Event::object_end || event == Event::array_end) {
      --depth;
      if (event == Event::object_end) keys.pop_back();
    } else if (event == Event::key) {
      const auto& name = parsed.get_ref<const std::string&>();
      if (!keys.back().insert(name).second) throw Error(where + ": the key " + in_quotes(name) + " appears twice", remedy);
    }
    return true;
  };
  try {
    return Json::parse(text, watch);
  } catch (const nlohmann::json::exception& e) {
    throw Error(where + ": not valid JSON: " + in_quotes(e.what()), remedy);
  }
}

std::string in_quotes(std::string_view text) {
  constexpr std::size_t kMaxShown = 120;
  std::string shown = dump_json(Json(std::string(text.substr(0, kMaxShown))));
  if (text.size() > kMaxShown) shown += "... (" + std::to_string(text.size()) + " bytes)";
  return shown;
}

std::string json_string(std::string_view text, const std::string& where) {
  try {
    return Json(std::string(text)).dump(-1, ' ', true, Json::error_handler_t::strict);
  } catch (const nlohmann::json::exception&) {
    throw Error(where + ": " + in_quotes(text) + " is not UTF-8", "use a name in UTF-8");
  }
}

}  // namespace sluice::checkpoint
