#include "sluice/text/stop_strings.h"

#include <algorithm>
#include <utility>

namespace sluice::text {

std::string StopStrings::push(std::string_view piece) {
  if (found_) return "";
  waiting_ += piece;
  std::size_t first = std::string::npos, held = 0;  // where a stop string begins; how much of the end may begin one
  for (const std::string& stop : strings_) {
    first = std::min(first, waiting_.find(stop));
    std::size_t length = std::min(stop.size() - 1, waiting_.size());
    while (!waiting_.ends_with(std::string_view(stop).substr(0, length))) --length;
    held = std::max(held, length);
  }
  found_ = first != std::string::npos;
  std::string shown = waiting_.substr(0, found_ ? first : waiting_.size() - held);
  waiting_ = found_ ? "" : waiting_.substr(shown.size());
  return shown;
}

std::string StopStrings::flush() { return std::exchange(waiting_, {}); }

}  // namespace sluice::text
