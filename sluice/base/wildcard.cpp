#include "sluice/base/wildcard.h"

namespace sluice {

// Where a run of characters that a * took turns out too short, it takes one more: the last * alone needs that.
bool matches_wildcard(std::string_view pattern, std::string_view text) {
  std::size_t p = 0, n = 0, star = std::string_view::npos, taken = 0;
  while (n < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      taken = n;
    } else if (p < pattern.size() && pattern[p] == text[n]) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++taken;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

}  // namespace sluice
