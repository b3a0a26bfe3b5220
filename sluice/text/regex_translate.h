// From Oniguruma's patterns to PCRE2's.
#pragma once
#include <string>
#include <string_view>

#include "sluice/text/regex_property.h"

namespace sluice::text {

// `pattern`, in the syntax of Oniguruma's Ruby mode, in PCRE2's (options UTF, UCP, MULTILINE), with the character classes of `version`.
// Error, naming `where`, for what has no translation.
std::string translate_pattern(std::string_view pattern, const std::string& where, UnicodeVersion version);

}  // namespace sluice::text
