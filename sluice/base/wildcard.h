// Shell-style patterns.
#pragma once
#include <string_view>

namespace sluice {

// Whether `pattern`, in which * stands for any characters or none, is the whole of `text`.
bool matches_wildcard(std::string_view pattern, std::string_view text);

}  // namespace sluice
