// JSON from files that we did not write: no duplicate keys, no deep nesting, and names that are safe to print.
#pragma once
#include <string>
#include <string_view>

#include "sluice/base/json.h"

namespace sluice::checkpoint {

// Parses `text`; Error naming `where` when it is not JSON, holds one key twice in an object, or nests deeper than 8 levels.
Json parse_strict_json(std::string_view text, const std::string& where);

// `text` in quotes, for messages: ASCII with escapes, cut at about 120 characters. A hostile name cannot write to the terminal.
std::string in_quotes(std::string_view text);

// `text` as a JSON string. Error when it is not UTF-8 (a name must come back as it went in).
std::string json_string(std::string_view text, const std::string& where);

}  // namespace sluice::checkpoint
